//! A request's share of its accounts' limits, from admission until it ends.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    account::{Cost, LimitExceeded},
    account_store::{AccountStore, Scope},
    budget_period::{BudgetPeriod, Timestamps},
    reservation::Reservation,
    shared::{ReservationQueue, ReserveReply},
};
use crate::config::Quota;

/// The limits that an admitted request occupies; released when dropped.
#[derive(Debug)]
pub struct QuotaLease {
    accounts: Arc<AccountStore>,
    /// None without a shared store.
    queue: Option<Arc<ReservationQueue>>,
    holders: Vec<(String, Quota)>,
    reserved_tokens: u64,
    used_tokens: u64,
    /// None without a budget, and before money is reserved.
    reservation: Option<Reservation>,
    is_store_unavailable: bool,
}

impl QuotaLease {
    /// Returns the lease of a request that `accounts` has admitted for `holders`.
    pub(super) fn new(
        accounts: Arc<AccountStore>,
        queue: Option<Arc<ReservationQueue>>,
        holders: Vec<(String, Quota)>,
    ) -> Self {
        let (reserved_tokens, used_tokens) = (0, 0);
        Self { accounts, queue, holders, reserved_tokens, used_tokens, reservation: None, is_store_unavailable: false }
    }

    /// Admits the other requests of a batch of `count`, of which the lease holds the first.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is exceeded.
    pub fn admit_batch(&self, count: usize, now: Instant) -> Result<(), LimitExceeded> {
        let extra = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        self.accounts.try_admit_batch(&self.holders, extra, now)
    }

    /// Reserves `cost` on every account, or on none. Waits only for the shared store, and only where there is a budget.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is exceeded.
    pub async fn reserve(&mut self, cost: Cost, now: Instant, date: SystemTime) -> Result<(), LimitExceeded> {
        let budgets = self.reserve_tokens(cost, Timestamps { now, date })?;
        if budgets.is_empty() {
            return Ok(());
        }
        if let Some(queue) = &self.queue {
            match queue.reserve(budgets.clone(), cost.usd).await {
                ReserveReply::Granted(reservation) => {
                    self.reservation = Some(reservation);
                    return Ok(());
                }
                ReserveReply::Refused(refusal) => return Err(refusal),
                ReserveReply::Unavailable => self.is_store_unavailable = true,
            }
        }
        let mut state = self.accounts.lock();
        self.accounts.check_budgets(&state, &budgets, cost.usd, Scope::Shared)?;
        let reservation = Reservation::new(&self.accounts, &mut state, budgets, cost.usd);
        drop(state);
        reservation.mark_dirty();
        self.reservation = Some(reservation);
        Ok(())
    }

    /// Records what the request cost, which replaces the reservation when the lease is dropped.
    pub fn record_usage(&mut self, cost: Cost) {
        self.used_tokens = cost.tokens;
        if let Some(reservation) = &mut self.reservation {
            reservation.used = cost.usd;
        }
    }

    /// Returns whether the request's spending could not be persisted. A request without a budget has none to persist.
    pub fn is_persist_failed(&self) -> bool {
        self.reservation.is_some() && !self.accounts.spending.is_persisted()
    }

    /// Returns whether the money was reserved in this process only, because the shared store did not answer.
    pub fn is_store_unavailable(&self) -> bool {
        self.is_store_unavailable
    }

    /// Reserves the tokens; returns the budgets to reserve money of, none of which this process has used up by itself.
    fn reserve_tokens(&mut self, cost: Cost, times: Timestamps) -> Result<Vec<BudgetPeriod>, LimitExceeded> {
        let budgets = BudgetPeriod::all_of(&self.holders, times.date);
        let mut state = self.accounts.lock();
        self.accounts.start_periods(&mut state, &budgets, times)?;
        for (name, quota) in &self.holders {
            if let Some(account) = state.accounts.find_mut(name) {
                account.check_tokens(quota, cost.tokens, times.now)?;
            }
        }
        self.accounts.check_budgets(&state, &budgets, cost.usd, Scope::Local)?;
        for (name, quota) in &self.holders {
            if let Some(account) = state.accounts.find_mut(name) {
                account.reserve_tokens(quota, cost.tokens);
            }
        }
        drop(state);
        self.reserved_tokens = cost.tokens;
        Ok(budgets)
    }
}

impl Drop for QuotaLease {
    fn drop(&mut self) {
        // Settled before the account is released: an account without requests in flight may be evicted.
        self.reservation.take();
        let mut state = self.accounts.lock();
        for (name, quota) in &self.holders {
            if let Some(account) = state.accounts.find_mut(name) {
                account.release(quota, self.reserved_tokens, self.used_tokens);
            }
        }
    }
}
