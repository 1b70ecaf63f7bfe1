//! All accounts of this process: admission by rate limits, and budgets checked against the spending store.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use super::{
    account::{Account, LimitExceeded},
    accounts::{Accounts, USER_PREFIX},
    budget_period::{BudgetPeriod, Timestamps},
    dirty_keys::DirtyKeys,
    lock::lock,
    retention::Retention,
    spending_store::SpendingStore,
};
use crate::config::{Period, Quota};

/// The accounts, and the store that remembers their spending.
#[derive(Debug)]
pub(super) struct AccountStore {
    state: Mutex<State>,
    pub(super) spending: Arc<dyn SpendingStore>,
    /// None without a shared store.
    dirty: Option<Arc<DirtyKeys>>,
    /// Entries of `spending` above which users are refused.
    max_entries: usize,
}

/// The accounts while they are locked.
#[derive(Debug)]
pub(super) struct State {
    pub(super) accounts: Accounts,
    retention: Retention,
}

/// Whose spending a budget is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// This process's.
    Local,
    /// This process's, and the last known spending of the other processes.
    Shared,
}

impl AccountStore {
    /// Returns a store of at most `max_accounts` accounts; the keys of changed spending are added to `dirty`.
    pub(super) fn new(max_accounts: usize, spending: Arc<dyn SpendingStore>, dirty: Option<Arc<DirtyKeys>>) -> Self {
        let state = State { accounts: Accounts::new(max_accounts), retention: Retention::default() };
        // Each account may have an entry for the day and one for the month.
        let max_entries = max_accounts.saturating_mul(Period::ALL.len());
        Self { state: Mutex::new(state), spending, dirty, max_entries }
    }

    /// Locks the accounts.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Admits a request on every account of `holders`, or on none.
    pub(super) fn try_admit(&self, holders: &[(String, Quota)], now: Instant) -> Result<(), LimitExceeded> {
        let accounts = &mut self.lock().accounts;
        for (name, quota) in holders {
            accounts.find_or_insert(name, quota, now).check_admission(quota, now)?;
        }
        for (name, quota) in holders {
            accounts.find_or_insert(name, quota, now).admit(quota);
        }
        Ok(())
    }

    /// Admits `extra` more requests on every account of `holders`, or on none, beside one that has been admitted.
    pub(super) fn try_admit_batch(
        &self,
        holders: &[(String, Quota)],
        extra: u32,
        now: Instant,
    ) -> Result<(), LimitExceeded> {
        let accounts = &mut self.lock().accounts;
        for (name, quota) in holders {
            accounts.find_or_insert(name, quota, now).check_batch(quota, extra, now)?;
        }
        for (name, quota) in holders {
            accounts.find_or_insert(name, quota, now).admit_batch(quota, extra);
        }
        Ok(())
    }

    /// Moves the accounts of `budgets` into the current day and month.
    pub(super) fn start_periods(
        &self,
        state: &mut State,
        budgets: &[BudgetPeriod],
        times: Timestamps,
    ) -> Result<(), LimitExceeded> {
        budgets.iter().try_for_each(|budget| self.start_period(state, budget, times))
    }

    /// Checks whether `usd` is left of each of `budgets`. If several are exceeded, the longest wait is returned.
    pub(super) fn check_budgets(
        &self,
        state: &State,
        budgets: &[BudgetPeriod],
        usd: f64,
        scope: Scope,
    ) -> Result<(), LimitExceeded> {
        let is_exceeded = |budget: &&BudgetPeriod| {
            let own = state.accounts.find(&budget.account).map_or(0.0, |account| account.spending(budget.per).usd);
            let others = match scope {
                Scope::Local => 0.0,
                Scope::Shared => self.spending.others(&budget.key, budget.period),
            };
            own + others + usd > budget.limit
        };
        match budgets.iter().filter(is_exceeded).map(|budget| budget.remaining).max() {
            Some(retry_after) => Err(LimitExceeded { limit: "budget", retry_after }),
            None => Ok(()),
        }
    }

    /// Applies `change` to the account of each budget, and saves the resulting spending.
    pub(super) fn update(&self, state: &mut State, budgets: &[BudgetPeriod], change: impl Fn(&mut Account, Period)) {
        for budget in budgets {
            if let Some(account) = state.accounts.find_mut(&budget.account) {
                change(account, budget.per);
                self.spending.set_own(&budget.key, account.spending(budget.per));
            }
        }
    }

    /// Has the spending of `budgets` sent to the shared store, if there is one.
    pub(super) fn mark_dirty(&self, budgets: &[BudgetPeriod]) {
        if let Some(dirty) = &self.dirty {
            dirty.mark_dirty(budgets.iter().map(|budget| budget.key.clone()));
        }
    }

    fn start_period(&self, state: &mut State, budget: &BudgetPeriod, times: Timestamps) -> Result<(), LimitExceeded> {
        let BudgetPeriod { per, period, .. } = *budget;
        let account = state.accounts.find_mut(&budget.account);
        let Some(account) = account.filter(|account| account.spending(per).period != period) else {
            return Ok(());
        };
        let saved = self.spending.own(&budget.key);
        account.start_period(per, period, saved.filter(|saved| saved.period == period).map_or(0.0, |saved| saved.usd));
        if saved.is_none() && self.spending.len() >= self.max_entries {
            let retry_after = state.retention.remove_expired(&*self.spending, times);
            // Keys are never refused: the configuration bounds their number. A key may name any number of users.
            if budget.account.starts_with(USER_PREFIX) && self.spending.len() >= self.max_entries {
                account.start_period(per, 0, 0.0);
                return Err(LimitExceeded { limit: "max_tracked_users", retry_after });
            }
        }
        Ok(())
    }
}
