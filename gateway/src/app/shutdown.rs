//! The tasks of the gateway and the signals with which they shut down.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tasks, and the two steps of their shutdown: no new work, then no more time for the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct ShutdownSignals {
    pub(super) tasks: TaskTracker,
    /// No new work is accepted, and work in progress finishes.
    pub(super) stop: CancellationToken,
    /// Work in progress ends at once.
    pub(super) cut: CancellationToken,
}

impl ShutdownSignals {
    /// Returns signals for one connection. Its own tokens keep connections from contending for one lock.
    pub(super) fn child(&self) -> Self {
        Self { tasks: self.tasks.clone(), stop: self.stop.child_token(), cut: self.cut.child_token() }
    }

    /// Stops new work, waits up to `deadline` for the tasks, and cuts those that are left.
    pub(super) async fn drain(&self, deadline: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "the drain deadline passed, open connections are cut");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}
