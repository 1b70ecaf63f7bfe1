//! The one task that talks to the store: one connection, one batch at a time.
//!
//! While a batch is in flight the next one gathers, so that the store's pace sets how many share a batch. What a batch
//! says is absolute and numbered: after a failure everything is said again, and an old batch that comes late changes
//! nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{
    batch::{self, Batch, BatchReply},
    connection::{Connection, Connector, SharedStoreError},
    reservation_queue::{ReservationQueue, ReserveReply, ReserveRequest},
    resp::Reply,
};
use crate::{
    config::Shared,
    state::{account_store::AccountStore, calendar, dirty_keys::DirtyKeys, reservation::Reservation},
};

/// Pause before a store that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Most refusals and changed accounts of a batch, so that no script keeps the store's one thread for long.
const MAX_REQUESTS: usize = 64;
const MAX_DIRTY_KEYS: usize = 256;

/// Carries what lies on the queue to the store.
pub struct StoreSync {
    accounts: Arc<AccountStore>,
    dirty: Arc<DirtyKeys>,
    queue: Arc<ReservationQueue>,
    connector: Connector,
    /// How long a batch may take.
    timeout: Duration,
    prefix: String,
    /// The store as the log names it.
    place: String,
    is_unavailable: AtomicBool,
}

impl std::fmt::Debug for StoreSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSync").field("place", &self.place).finish_non_exhaustive()
    }
}

impl StoreSync {
    /// Returns the task that talks to the store that `shared` names: from `queue` and of what is `dirty` of `accounts`.
    pub(in crate::state) fn new(
        accounts: Arc<AccountStore>,
        dirty: Arc<DirtyKeys>,
        queue: Arc<ReservationQueue>,
        shared: &Shared,
    ) -> Result<Self, SharedStoreError> {
        Ok(Self {
            accounts,
            dirty,
            queue,
            connector: Connector::new(shared.clone())?,
            timeout: shared.timeout,
            prefix: shared.prefix.clone(),
            place: shared.place(),
            is_unavailable: AtomicBool::new(false),
        })
    }

    /// Carries until `stop`, then what is left.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let is_last = stop.is_cancelled();
            let Err(error) = Box::pin(self.session(&stop)).await else { return };
            self.queue.close();
            self.log_failure(&error);
            if is_last {
                let accounts = self.dirty.len();
                tracing::error!(
                    store = self.place,
                    accounts,
                    "spending was not sent before exit, the shared store is unavailable"
                );
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// One connection, from its opening until it fails, or until there is nothing left to send.
    async fn session(&self, stop: &CancellationToken) -> Result<(), SharedStoreError> {
        let mut connection = self.connector.open().await?;
        let instance = self.accounts.spending.instance_id().to_owned();
        let timeout = || SharedStoreError::Timeout(self.timeout);
        let key = batch::number_key(&self.prefix, &instance);
        let newest = connection.number(&key);
        // A batch of the connection before may still come; it has the next number at limit.
        let mut number = tokio::time::timeout(self.timeout, newest).await.map_err(|_| timeout())?? + 1;
        // The store may have forgotten, or never received, any of it.
        self.dirty.mark_dirty(self.accounts.spending.keys_in(&calendar::current(SystemTime::now())));
        self.queue.open();
        if self.is_unavailable.swap(false, Ordering::Relaxed) {
            tracing::info!(
                store = self.place,
                "the shared store is available again, it is sent what was spent meanwhile"
            );
        }
        loop {
            let (requests, changed) = (self.queue.take(MAX_REQUESTS), self.dirty.take(MAX_DIRTY_KEYS));
            let batch = Batch::new(requests, changed, &*self.accounts.spending, SystemTime::now());
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return Ok(());
                }
                tokio::select! {
                    () = self.queue.filled() => {}
                    () = self.dirty.changed() => {}
                    () = stop.cancelled() => {}
                    error = connection.broken() => return Err(error),
                }
                continue;
            }
            number += 1;
            let carried =
                tokio::time::timeout(self.timeout, send(&mut connection, &batch, &self.prefix, &instance, number));
            match carried.await.unwrap_or_else(|_| Err(timeout())) {
                Ok(reply) => self.apply(batch, reply),
                Err(error) => {
                    self.mark_dirty(&batch);
                    return Err(error);
                }
            }
        }
    }

    /// Gives every wish its verdict, and notes what others have spent.
    fn apply(&self, batch: Batch, reply: BatchReply) {
        for (entry, others) in batch.entries().iter().zip(&reply.others) {
            self.accounts.spending.set_others(&entry.key, entry.period, *others);
        }
        for (request, refusal) in batch.requests.into_iter().zip(reply.refusals) {
            match refusal {
                // Who has left is not refused either.
                Some(refusal) => drop(request.reply.send(ReserveReply::Refused(refusal))),
                None => self.grant(request),
            }
        }
    }

    /// Has everything said again: whether it was written, or will be, is not known.
    fn mark_dirty(&self, batch: &Batch) {
        let store = &self.accounts.spending;
        for entry in batch.entries() {
            // An account of which nothing is kept yet may have been granted something, and must be told to have spent none.
            if store.own(&entry.key).is_none() {
                store.set_others(&entry.key, entry.period, 0.0);
            }
        }
        self.dirty.mark_dirty(batch.entries().iter().map(|entry| entry.key.clone()));
    }

    /// Sets aside here what the store has set aside. Who has stopped waiting gets nothing, and the store is told so.
    fn grant(&self, request: ReserveRequest) {
        if request.reply.is_closed() {
            self.dirty.mark_dirty(request.budgets.iter().map(|budget| budget.key.clone()));
            return;
        }
        let mut state = self.accounts.lock();
        let reservation = Reservation::new(&self.accounts, &mut state, request.budgets, request.usd);
        drop(state);
        // A reservation that cannot be handed over is dropped, which gives the money back and tells the store.
        let _left = request.reply.send(ReserveReply::Granted(reservation));
    }

    /// Tells of the first failure of a row.
    fn log_failure(&self, error: &SharedStoreError) {
        if !self.is_unavailable.swap(true, Ordering::Relaxed) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let store = &self.place;
            tracing::error!(store, %error, cause, "the shared store is unavailable, budgets are enforced by each process alone");
        }
    }
}

async fn send(
    connection: &mut Connection,
    batch: &Batch,
    prefix: &str,
    instance: &str,
    number: u64,
) -> Result<BatchReply, SharedStoreError> {
    let reply = connection.run(batch.keys(prefix, instance), batch.encode(instance, number)).await?;
    if reply == Reply::Nil {
        return Err(SharedStoreError::Stale);
    }
    batch.decode(&reply).ok_or(SharedStoreError::Answer)
}
