//! What is remembered from request to request: who used how much.

pub mod account;
pub mod calendar;
pub mod store;
pub mod disk;
mod untold;
mod books;
pub mod shared;
pub mod ticket;
pub mod ledger;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::{
    account::{Need, Refusal},
    disk::{Disk, DiskError},
    ledger::Ledger,
    shared::{Courier, LinkError},
    store::{Memory, Spending, Store},
    ticket::Ticket,
};

/// Locks `mutex`; nothing here leaves a value half changed when it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
