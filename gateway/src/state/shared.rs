//! Budgets that several processes keep together, in a store that speaks Redis's protocol.
//!
//! Requests lay what they ask for on the [`Desk`]; the [`Courier`], one task with one connection, carries it to the store
//! in batches and brings the verdicts back. Each process writes only what it has spent itself, as an absolute amount, so
//! that a batch may be sent again, late, or to a store that has forgotten everything, and the sum is right all the same.

mod desk;
mod resp;
mod link;
mod batch;
mod courier;

pub(super) use self::desk::{Desk, Verdict};
pub use self::{courier::Courier, link::LinkError};
