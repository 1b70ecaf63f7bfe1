//! One budget of one account in one period: what a request reserves money of.

use std::time::{Duration, Instant, SystemTime};

use super::calendar;
use crate::config::{Period, Quota};

/// A budget in the period that contains the request.
#[derive(Debug, Clone)]
pub(super) struct BudgetPeriod {
    /// The account, such as `key:team`.
    pub(super) account: String,
    /// The key under which stores keep its spending, such as `day/key:team`.
    pub(super) key: String,
    pub(super) per: Period,
    /// The period's number.
    pub(super) period: u64,
    /// USD for the period.
    pub(super) limit: f64,
    /// Time until the period ends.
    pub(super) remaining: Duration,
}

/// The monotonic and the wall clock at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamps {
    pub(super) now: Instant,
    pub(super) date: SystemTime,
}

impl BudgetPeriod {
    /// Returns the budget of `account` for the day or month that contains `date`.
    pub(super) fn at(account: &str, per: Period, limit: f64, date: SystemTime) -> Self {
        let (period, remaining) = calendar::period(per, date);
        let key = format!("{}/{account}", per.as_str());
        Self { account: account.to_owned(), key, per, period, limit, remaining }
    }

    /// Returns the budgets of every holder for the periods that contain `date`.
    pub(super) fn all_of(holders: &[(String, Quota)], date: SystemTime) -> Vec<Self> {
        let mut budgets = Vec::new();
        for (account, quota) in holders {
            let limits = quota.budget.into_iter().flat_map(|budget| Period::ALL.map(|per| (per, budget.limit(per))));
            for (per, limit) in limits {
                budgets.extend(limit.map(|limit| Self::at(account, per, limit, date)));
            }
        }
        budgets
    }
}
