//! State that outlives a request: rate limits, budgets and spending of keys and users.
//!
//! Modules are listed from low to high: each uses only those above it.

mod lock;
mod calendar;
mod spending_store;
mod file_store;
mod bucket;
mod account;
mod accounts;
mod budget_period;
mod retention;
mod dirty_keys;
mod account_store;
mod reservation;
mod shared;
mod quota_lease;
mod ledger;

pub use self::{
    account::{Cost, LimitExceeded},
    file_store::{FileStore, FileStoreError},
    ledger::Ledger,
    quota_lease::QuotaLease,
    shared::{SharedStoreError, StoreSync},
    spending_store::{MemoryStore, Spending, SpendingStore},
};
