//! What a shared store does not know yet.

use std::{collections::HashSet, sync::Mutex};

use tokio::sync::Notify;

use super::lock;

/// The shelves whose newest spending the store has not been told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    shelves: Mutex<HashSet<String>>,
    grown: Notify,
}

impl Untold {
    /// Adds shelves.
    pub(super) fn add(&self, shelves: impl IntoIterator<Item = String>) {
        lock(&self.shelves).extend(shelves);
        self.grown.notify_one();
    }

    /// Takes `most` shelves at most.
    pub(super) fn take(&self, most: usize) -> Vec<String> {
        let mut shelves = lock(&self.shelves);
        let taken: Vec<String> = shelves.iter().take(most).cloned().collect();
        for shelf in &taken {
            shelves.remove(shelf);
        }
        taken
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.shelves).len()
    }

    /// Waits until some were added since the last wait; for one waiter.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }
}
