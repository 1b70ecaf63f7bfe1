//! The budget keys whose spending has changed since it was last sent to the shared store.

use std::{collections::HashSet, sync::Mutex};

use tokio::sync::Notify;

use super::lock::lock;

/// A set of budget keys that wakes its one reader when it grows.
#[derive(Debug, Default)]
pub(super) struct DirtyKeys {
    keys: Mutex<HashSet<String>>,
    changed: Notify,
}

impl DirtyKeys {
    /// Adds `keys`.
    pub(super) fn mark_dirty(&self, keys: impl IntoIterator<Item = String>) {
        lock(&self.keys).extend(keys);
        self.changed.notify_one();
    }

    /// Removes and returns at most `limit` keys.
    pub(super) fn take(&self, limit: usize) -> Vec<String> {
        let mut keys = lock(&self.keys);
        let taken: Vec<String> = keys.iter().take(limit).cloned().collect();
        for key in &taken {
            keys.remove(key);
        }
        taken
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        lock(&self.keys).len()
    }

    /// Waits until keys were added since the last wait; for one waiter.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
