//! Where decisions and signals are kept: the trait, and the store in a file or in memory.

mod embedded;

use std::time::Duration;

use super::{
    error::StoreError,
    record::{Decision, Declared, Interaction, Page, Signal, UserData},
};
use crate::{
    api::feedback::Kind,
    config::{Learning, LearningStore},
};

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) window: Duration,
    pub(super) retention: Duration,
    pub(super) max_decisions: usize,
    pub(super) max_user_decisions: usize,
    pub(super) max_user_signals: usize,
}

impl Bounds {
    fn of(config: &Learning) -> Self {
        Self {
            window: config.window,
            retention: config.retention,
            max_decisions: config.max_decisions,
            max_user_decisions: config.max_user_decisions,
            max_user_signals: config.max_user_signals,
        }
    }
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Whether it was there already.
    pub(super) is_duplicate: bool,
    /// The user's signals after it.
    pub(super) signals: usize,
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// Signals.
    pub signals: usize,
    /// Decisions.
    pub decisions: usize,
}

/// Whether a batch must survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It reaches the disk before the commit returns, with everything before it.
    Durable,
    /// It reaches the disk with the next durable batch.
    Deferred,
}

/// Keeps decisions and signals. Its thread calls it, so calls may block. Between [`Self::begin`] and [`Self::commit`] calls
/// see the changes of the batch; after an error the batch is lost as a whole.
pub trait RawStore: Send {
    /// Starts a batch.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Ends the batch.
    fn commit(&mut self, durability: Durability) -> Result<(), StoreError>;

    /// Keeps a decision; the oldest ones above the bounds are removed.
    fn put_decision(&mut self, decision: &Decision) -> Result<(), StoreError>;

    /// Returns a decision that is not older than the window.
    fn decision(&mut self, id: &str) -> Result<Option<Decision>, StoreError>;

    /// Keeps a signal in place of one of the same kind for the same decision, unless a signal with the same idempotency key
    /// or the same content was kept before.
    fn put_signal(&mut self, user: &str, signal: &Signal, idempotency: Option<&str>) -> Result<Put, StoreError>;

    /// Removes the signals for a decision.
    fn remove_signals(&mut self, user: &str, decision: &str) -> Result<Removed, StoreError>;

    /// Replaces what the user has declared.
    fn declare(&mut self, user: &str, declared: Option<Declared>) -> Result<(), StoreError>;

    /// Removes everything about a user, so that after the next commit no byte of it is left in the store.
    fn erase(&mut self, user: &str) -> Result<Removed, StoreError>;

    /// Returns everything about a user.
    fn user(&mut self, user: &str) -> Result<UserData, StoreError>;

    /// Returns users who have signals or have declared a preference.
    fn users(&mut self, after: Option<&str>, most: usize) -> Result<Page<String>, StoreError>;

    /// Returns interactions that arrived at `since` or later, in their order, after the cursor `after`.
    fn interactions(&mut self, since: u64, after: Option<&str>, most: usize) -> Result<Page<Interaction>, StoreError>;

    /// Removes what is older than the bounds; returns how much.
    fn expire(&mut self, now: u64) -> Result<Removed, StoreError>;

    /// Returns whether signals survive the process.
    fn is_durable(&self) -> bool;

    /// Returns whether other processes write to the store.
    fn is_shared(&self) -> bool;

    /// Returns a reader for another thread.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
}

/// Reads what shapes a profile.
pub trait Reader: Send {
    /// Returns the user's declared preference and signals; the decisions are left out.
    fn signals(&mut self, user: &str) -> Result<UserData, StoreError>;
}

/// Opens the store that `config` names.
///
/// # Errors
///
/// Fails when a file is in use, damaged or not accessible.
pub fn open_raw(config: &Learning) -> Result<Box<dyn RawStore>, StoreError> {
    let bounds = Bounds::of(config);
    Ok(match &config.store {
        LearningStore::Memory => Box::new(embedded::EmbeddedStore::in_memory(bounds)?),
        LearningStore::File(path) => Box::new(embedded::EmbeddedStore::open(path, bounds)?),
    })
}

/// Returns the number of a kind in keys.
fn kind_number(kind: Kind) -> u8 {
    Kind::ALL.iter().position(|known| *known == kind).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}
