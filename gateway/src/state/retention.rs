//! Removal of spending whose period is over, when the store is full.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{
    budget_period::Timestamps,
    calendar,
    spending_store::{Spending, SpendingStore},
};
use crate::config::Period;

/// Minimum time between two scans of a full store within the same period.
pub(super) const SCAN_INTERVAL: Duration = Duration::from_secs(10);

/// Scans the store for expired periods, not more often than `SCAN_INTERVAL`.
#[derive(Debug, Default)]
pub(super) struct Retention {
    last: Option<Scan>,
}

/// The result of a scan.
#[derive(Debug, Clone, Copy)]
struct Scan {
    at: Instant,
    /// The day and the month at that time.
    current: [u64; 2],
    /// The period whose end frees entries next.
    next: Period,
}

impl Retention {
    /// Removes expired entries of `store`, unless a recent scan did; returns how long until the next ones expire.
    pub(super) fn remove_expired(&mut self, store: &dyn SpendingStore, times: Timestamps) -> Duration {
        let current = calendar::current(times.date);
        let is_recent =
            |scan: &Scan| scan.current == current && times.now.saturating_duration_since(scan.at) <= SCAN_INTERVAL;
        let next = self.last.filter(is_recent).map_or_else(|| self.scan(store, current, times), |scan| scan.next);
        calendar::period(next, times.date).1
    }

    fn scan(&mut self, store: &dyn SpendingStore, current: [u64; 2], times: Timestamps) -> Period {
        let today = calendar::period(Period::Day, times.date).0;
        let has_days = Cell::new(false);
        store.remove_expired(&|spending: Spending| {
            has_days.set(has_days.get() || spending.period == today);
            !current.contains(&spending.period)
        });
        let next = if has_days.get() { Period::Day } else { Period::Month };
        self.last = Some(Scan { at: times.now, current, next });
        next
    }
}
