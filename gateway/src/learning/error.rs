//! Why a store, or the learning as a whole, does not do what it was asked.

use std::{path::PathBuf, time::Duration};

use crate::api::Invalid;

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be used.
    #[error("the file of signals {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The store in memory cannot be used.
    #[error("the store of signals cannot be used")]
    Database(#[source] Box<redb::Error>),
    /// The system gives no thread.
    #[error("a thread for learning cannot be started")]
    Thread(#[source] std::io::Error),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Why a signal is not accepted, although the store works.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No decision has this id, or it is too old, or another user's.
    #[error("no decision has this id, it is older than `learning.window`, or it belongs to another user")]
    UnknownDecision,
    /// An answer without a decision needs a user.
    #[error("`user` is required: the key has none")]
    NoUser,
    /// The user has given too many signals.
    #[error("the user has given `learning.signals_per_minute` signals within a minute")]
    TooMany(Duration),
    /// A field does not fit the decision.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Why the learning does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// What was sent is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store is away, or the queue is full.
    #[error("signals cannot be kept now: {0}")]
    Unavailable(&'static str),
}
