//! Learning while serving: decisions and what users say about them are kept, and shape the profile of the user's next
//! request.
//!
//! Serving threads put decisions and signals into the queue; one thread, the writer, commits them to the store in groups.
//! Another one, the adapter, runs the plugin's adapter graph on a user's newest signals and puts the profile into the cache
//! that requests read. Modules are listed from low to high: each uses only those above it.

mod clock;
mod record;
mod codec;
mod error;
mod store;
mod resolve;
mod adaptation;
mod cache;
mod adapter;
mod queue;
mod writer;
mod rate;
mod service;
pub mod export;

pub use self::{
    cache::Known,
    error::{LearningError, Refusal, StoreError},
    queue::{RoutedDecision, Submission},
    record::{Decision, Declared, Interaction, Origin, Page, Signal, TaskGuess, UserData},
    service::{Accepted, Learning, Owner, Target},
    store::{RawStore, Removed, open_raw},
};
