//! What is remembered from request to request: who used how much.

pub mod account;
pub mod calendar;
pub mod ledger;

pub use self::{
    account::{Need, Refusal},
    ledger::{Ledger, Ticket},
};
