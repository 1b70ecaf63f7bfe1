//! The entry point to the quotas: admits requests on the accounts of their key and user.
//!
//! Rates and concurrency are limited by each process alone. So are budgets without a shared store. With one, each
//! reservation is made there, and the accounts of this process limit only what is spent while the store is unavailable.

use std::{sync::Arc, time::Instant};

use super::{
    account::LimitExceeded,
    account_store::AccountStore,
    dirty_keys::DirtyKeys,
    quota_lease::QuotaLease,
    shared::{ReservationQueue, SharedStoreError, StoreSync},
    spending_store::{MemoryStore, SpendingStore},
};
use crate::config::{Quota, SharedStore};

/// The accounts of this process, and the queue to the shared store.
#[derive(Debug)]
pub struct Ledger {
    accounts: Arc<AccountStore>,
    queue: Option<Arc<ReservationQueue>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(100_000, Arc::new(MemoryStore::default()))
    }
}

impl Ledger {
    /// Returns a ledger of at most `max_accounts` accounts whose spending `spending` remembers.
    pub fn new(max_accounts: usize, spending: Arc<dyn SpendingStore>) -> Self {
        Self { accounts: Arc::new(AccountStore::new(max_accounts, spending, None)), queue: None }
    }

    /// Returns a ledger whose budgets are shared with all processes that use the store of `shared`, and the task that
    /// talks to that store.
    ///
    /// # Errors
    ///
    /// Fails when the file of the store's certificate authorities cannot be used. The store is not contacted.
    pub fn with_shared_store(
        max_accounts: usize,
        spending: Arc<dyn SpendingStore>,
        shared: &SharedStore,
    ) -> Result<(Self, StoreSync), SharedStoreError> {
        let dirty = Arc::<DirtyKeys>::default();
        let accounts = Arc::new(AccountStore::new(max_accounts, spending, Some(Arc::clone(&dirty))));
        let queue = Arc::new(ReservationQueue::new(shared.timeout));
        let sync = StoreSync::new(Arc::clone(&accounts), dirty, Arc::clone(&queue), shared)?;
        Ok((Self { accounts, queue: Some(queue) }, sync))
    }

    /// Admits a request on every account of `holders`, all of which have limits, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is exceeded.
    pub fn try_admit(&self, holders: Vec<(String, Quota)>, now: Instant) -> Result<QuotaLease, LimitExceeded> {
        self.accounts.try_admit(&holders, now)?;
        Ok(QuotaLease::new(Arc::clone(&self.accounts), self.queue.clone(), holders))
    }

    /// Returns the number of accounts.
    pub fn len(&self) -> usize {
        self.accounts.lock().accounts.len()
    }

    /// Returns whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
