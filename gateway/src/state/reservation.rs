//! Money reserved for one running request, settled when dropped.

use std::sync::Arc;

use super::{
    account_store::{AccountStore, State},
    budget_period::BudgetPeriod,
};

/// A reservation in several budgets. When it is dropped, the amount used replaces the amount reserved.
#[derive(Debug)]
pub(super) struct Reservation {
    accounts: Arc<AccountStore>,
    budgets: Vec<BudgetPeriod>,
    reserved: f64,
    pub(super) used: f64,
}

impl Reservation {
    /// Reserves `usd` in each of `budgets`, which the caller has checked.
    pub(super) fn new(accounts: &Arc<AccountStore>, state: &mut State, budgets: Vec<BudgetPeriod>, usd: f64) -> Self {
        accounts.update(state, &budgets, |account, per| account.reserve(per, usd));
        Self { accounts: Arc::clone(accounts), budgets, reserved: usd, used: 0.0 }
    }

    /// Has the reservation sent to the shared store.
    pub(super) fn mark_dirty(&self) {
        self.accounts.mark_dirty(&self.budgets);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.accounts.lock();
        self.accounts.update(&mut state, &self.budgets, |account, per| account.settle(per, self.reserved, self.used));
        drop(state);
        self.mark_dirty();
    }
}
