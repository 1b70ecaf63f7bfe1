//! The task that exchanges spending with the shared store, one batch at a time.
//!
//! While a batch is in flight, the next one collects, so a slow store means larger batches. Amounts are absolute and
//! batches are numbered: after a failure the amounts are sent again, and a batch that arrives late changes nothing. The
//! store keeps the number of the last batch; a lower one than was confirmed shows that it has lost data, and all spending
//! is sent again. A heartbeat notices that without requests, too.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, BatchReply, Decoded},
    connection::{Connection, Connector},
    error::SharedStoreError,
    reservation_queue::{ReservationQueue, ReserveReply, ReserveRequest},
    script::ReserveScript,
};
use crate::{
    config::SharedStore,
    state::{account_store::AccountStore, calendar, dirty_keys::DirtyKeys, reservation::Reservation},
};

/// Longest time without a batch.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Pause before the first retry after a failure; each further one doubles it.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Limits of a batch, because a script blocks the server.
const MAX_REQUESTS: usize = 64;
const MAX_DIRTY_KEYS: usize = 256;

/// Attempts to send a batch: the number of the second one is above the number that refused the first one.
const ATTEMPTS: usize = 2;

/// Sends reservations and spending to the shared store.
pub struct StoreSync {
    accounts: Arc<AccountStore>,
    dirty: Arc<DirtyKeys>,
    queue: Arc<ReservationQueue>,
    connector: Connector,
    script: ReserveScript,
    timeout: Duration,
    prefix: String,
    /// The store's address for the log.
    address: String,
    /// Number of the last batch sent, and of the last one confirmed.
    sent: u64,
    confirmed: u64,
    is_unavailable: bool,
}

impl std::fmt::Debug for StoreSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSync").field("address", &self.address).finish_non_exhaustive()
    }
}

impl StoreSync {
    /// Returns a task that sends the requests in `queue` and the `dirty` spending of `accounts` to the store `shared`.
    pub(in crate::state) fn new(
        accounts: Arc<AccountStore>,
        dirty: Arc<DirtyKeys>,
        queue: Arc<ReservationQueue>,
        shared: &SharedStore,
    ) -> Result<Self, SharedStoreError> {
        Ok(Self {
            accounts,
            dirty,
            queue,
            connector: Connector::new(shared)?,
            script: ReserveScript::default(),
            timeout: shared.timeout,
            prefix: shared.prefix.clone(),
            address: shared.to_string(),
            sent: 0,
            confirmed: 0,
            is_unavailable: false,
        })
    }

    /// Exchanges batches until `stop`, and then sends the remaining spending.
    pub async fn run(mut self, stop: CancellationToken) {
        self.mark_all_dirty();
        let (mut connection, mut backoff, mut heartbeat) = (None, MIN_BACKOFF, Instant::now());
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return;
                }
                if Instant::now() < heartbeat {
                    self.wait_for_work(heartbeat, &stop).await;
                    continue;
                }
            }
            match self.exchange(&mut connection, batch).await {
                Ok(()) => (backoff, heartbeat) = (MIN_BACKOFF, Instant::now() + HEARTBEAT),
                Err(error) => {
                    connection = None;
                    self.report_failure(&error);
                    if stop.is_cancelled() {
                        return self.report_loss();
                    }
                    pause(backoff, &stop).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }

    fn next_batch(&self) -> Batch {
        let (requests, dirty) = (self.queue.take(MAX_REQUESTS), self.dirty.take(MAX_DIRTY_KEYS));
        Batch::new(requests, dirty, &*self.accounts.spending, SystemTime::now())
    }

    async fn wait_for_work(&self, heartbeat: Instant, stop: &CancellationToken) {
        tokio::select! {
            () = self.queue.filled() => {}
            () = self.dirty.changed() => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(heartbeat) => {}
        }
    }

    /// Sends `batch` and applies the reply.
    async fn exchange(&mut self, connection: &mut Option<Connection>, batch: Batch) -> Result<(), SharedStoreError> {
        match Box::pin(self.send(connection, &batch)).await {
            Ok(reply) => {
                let has_lost_data = reply.previous < self.confirmed;
                self.confirmed = self.sent;
                self.report_success(has_lost_data);
                if has_lost_data {
                    self.mark_all_dirty();
                }
                self.apply(batch, reply);
                Ok(())
            }
            Err(error) => {
                self.mark_uncertain(&batch);
                Err(error)
            }
        }
    }

    /// Sends `batch` over `connection`, which is made first if there is none.
    async fn send(
        &mut self,
        connection: &mut Option<Connection>,
        batch: &Batch,
    ) -> Result<BatchReply, SharedStoreError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.connector.connect().await?),
        };
        let instance = self.accounts.spending.instance_id();
        let keys = batch.keys(&self.prefix, instance);
        for _ in 0..ATTEMPTS {
            self.sent += 1;
            let arguments = batch.encode(instance, self.sent);
            let run = tokio::time::timeout(self.timeout, connection.run(&self.script, &keys, &arguments));
            let reply = run.await.map_err(|_| SharedStoreError::Timeout(self.timeout))??;
            match batch.decode(self.sent, &reply).ok_or(SharedStoreError::Decode)? {
                Decoded::Done(reply) => return Ok(reply),
                // After a restart with a state file, or after an attempt that the client repeated by itself.
                Decoded::Stale { newest } => self.sent = newest,
            }
        }
        Err(SharedStoreError::Stale)
    }

    /// Replies to every request, and notes what other processes have spent.
    fn apply(&self, batch: Batch, reply: BatchReply) {
        for (entry, others) in batch.entries().iter().zip(&reply.others) {
            self.accounts.spending.set_others(&entry.key, entry.period, *others);
        }
        for (request, refusal) in batch.requests.into_iter().zip(reply.refusals) {
            match refusal {
                // The request may have stopped waiting.
                Some(refusal) => drop(request.reply.send(ReserveReply::Refused(refusal))),
                None => self.grant(request),
            }
        }
    }

    /// Reserves in this process what the store has reserved. If the request has stopped waiting, nothing is reserved, and
    /// the store is sent the lower amount.
    fn grant(&self, request: ReserveRequest) {
        if request.reply.is_closed() {
            return self.accounts.mark_dirty(&request.budgets);
        }
        let mut state = self.accounts.lock();
        let reservation = Reservation::new(&self.accounts, &mut state, request.budgets, request.usd);
        drop(state);
        // A reservation that cannot be handed over is dropped, which releases it and marks its budgets dirty.
        let _closed = request.reply.send(ReserveReply::Granted(reservation));
    }

    /// Has the batch's spending sent again: whether the store has executed the batch, or will, is unknown.
    fn mark_uncertain(&self, batch: &Batch) {
        let spending = &self.accounts.spending;
        for entry in batch.entries() {
            // The store may have reserved money in a budget of which this process has no entry yet.
            if spending.own(&entry.key).is_none() {
                spending.set_others(&entry.key, entry.period, 0.0);
            }
        }
        self.dirty.mark_dirty(batch.entries().iter().map(|entry| entry.key.clone()));
    }

    fn mark_all_dirty(&self) {
        self.dirty.mark_dirty(self.accounts.spending.keys_in(&calendar::current(SystemTime::now())));
    }

    fn report_success(&mut self, has_lost_data: bool) {
        self.queue.open();
        if std::mem::take(&mut self.is_unavailable) {
            tracing::info!(store = self.address, "the shared store is available again");
        }
        if has_lost_data {
            tracing::warn!(store = self.address, "the shared store has lost data, all spending is sent again");
        }
    }

    /// Lets requests no longer wait for the store; logs the first of several failures in a row.
    fn report_failure(&mut self, error: &SharedStoreError) {
        self.queue.close();
        if !std::mem::replace(&mut self.is_unavailable, true) {
            let store = &self.address;
            tracing::error!(store, %error, "the shared store is unavailable, each process enforces budgets alone");
        }
    }

    fn report_loss(&self) {
        let keys = self.dirty.len();
        tracing::error!(store = self.address, keys, "unsent spending is lost at exit, the shared store is unavailable");
    }
}

/// Waits for half to all of `backoff`, so that gateways do not reconnect in step, or until `stop`.
async fn pause(backoff: Duration, stop: &CancellationToken) {
    let share = rand::random_range(0.5..1.0);
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(backoff.mul_f64(share)) => {}
    }
}
