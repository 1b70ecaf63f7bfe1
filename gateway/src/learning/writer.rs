//! The writer: one thread that commits what waits in groups, so that a slow disk means larger groups.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    adapter::Causes,
    cache::ProfileCache,
    clock,
    error::StoreError,
    queue::{Callback, Queue, Work},
    store::{Durability, RawStore},
};
use crate::telemetry::Metrics;

/// Longest time until a decision without any signal reaches the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Pause between two removals of what is too old.
const EXPIRY: Duration = Duration::from_secs(60);

/// Most entries of one group: its signals wait for all of them.
const GROUP: usize = 1_024;

/// What the thread works with.
pub(super) struct Writer {
    pub(super) store: Box<dyn RawStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) cache: Arc<ProfileCache>,
    pub(super) metrics: Arc<Metrics>,
}

/// What the thread remembers between groups.
struct Progress {
    /// The last durable commit, and whether something was committed after it.
    synced: Instant,
    has_unsynced: bool,
    expired: Option<Instant>,
    is_failing: bool,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut progress = Progress { synced: Instant::now(), has_unsynced: false, expired: None, is_failing: false };
        loop {
            let idle = if progress.has_unsynced { SYNC } else { EXPIRY };
            let Some(work) = self.queue.take(idle) else { break };
            self.metrics.learning().queued(self.queue.len());
            let mut work = work.into_iter().peekable();
            while work.peek().is_some() {
                let group: Vec<Work> = work.by_ref().take(GROUP).collect();
                self.group(group, &mut progress);
            }
            let is_sync_due = progress.has_unsynced && progress.synced.elapsed() >= SYNC;
            let is_expiry_due = progress.expired.is_none_or(|expired| expired.elapsed() >= EXPIRY);
            if is_expiry_due {
                progress.expired = Some(Instant::now());
                let expired = self.expire();
                self.note(expired, &mut progress);
            } else if is_sync_due {
                let synced = self.sync();
                self.note(synced, &mut progress);
            }
        }
        if progress.has_unsynced {
            let synced = self.sync();
            self.note(synced, &mut progress);
        }
    }

    /// Commits one group, and runs what waits for it.
    fn group(&mut self, group: Vec<Work>, progress: &mut Progress) {
        let size = group.len();
        match self.try_group(group) {
            Ok((durability, callbacks)) => {
                progress.has_unsynced = durability == Durability::Deferred;
                if durability == Durability::Durable {
                    progress.synced = Instant::now();
                }
                callbacks.into_iter().for_each(|callback| callback());
                self.note(Ok(()), progress);
            }
            Err(error) => {
                self.metrics.learning().lost(size);
                self.note(Err(error), progress);
            }
        }
    }

    fn try_group(&mut self, group: Vec<Work>) -> Result<(Durability, Vec<Callback>), StoreError> {
        let mut durability = Durability::Deferred;
        let mut callbacks = Vec::new();
        self.store.begin()?;
        for work in group {
            match work {
                Work::Decision(decision) => self.store.put_decision(&decision.into_record())?,
                Work::Operation(operation) => {
                    if operation.durability == Durability::Durable {
                        durability = Durability::Durable;
                    }
                    callbacks.push((operation.run)(&mut *self.store)?);
                }
            }
        }
        self.store.commit(durability)?;
        Ok((durability, callbacks))
    }

    fn expire(&mut self) -> Result<(), StoreError> {
        self.store.begin()?;
        let removed = self.store.expire(clock::now())?;
        self.store.commit(Durability::Durable)?;
        if removed.signals > 0 {
            self.cache.forget_all();
            tracing::info!(signals = removed.signals, "signals older than `learning.retention_days` were removed");
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.store.begin()?;
        self.store.commit(Durability::Durable)
    }

    /// Logs the first failure of a row and the first success after it.
    fn note(&self, result: Result<(), StoreError>, progress: &mut Progress) {
        match result {
            Ok(()) if progress.is_failing => tracing::info!("signals are kept again"),
            Err(error) if !progress.is_failing => {
                tracing::error!(error = %Causes(&error), "decisions and signals cannot be kept");
                progress.is_failing = true;
                self.metrics.learning().store_failed(true);
                return;
            }
            Ok(()) | Err(_) => return,
        }
        progress.is_failing = false;
        self.metrics.learning().store_failed(false);
    }
}
