//! Budgets that several processes share, in a store that speaks Redis's protocol.
//!
//! Requests wait in the [`ReservationQueue`]; [`StoreSync`], one task, sends them to the store in batches. Each process
//! writes only its own spending, as an absolute amount, so a batch may be repeated, delayed, or sent to a store that has
//! lost its data, and the sum is still correct.

mod error;
mod script;
mod connection;
mod reservation_queue;
mod batch;
mod store_sync;

pub(super) use self::reservation_queue::{ReservationQueue, ReserveReply};
pub use self::{error::SharedStoreError, store_sync::StoreSync};
