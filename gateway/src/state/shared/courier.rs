//! The one task that talks to the store: one connection, one batch at a time.
//!
//! While a batch is under way the next one gathers, so that the store's pace sets how many share a batch. What a batch
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
    batch::{self, Batch, Outcome},
    desk::{Ask, Desk, Verdict},
    link::{Link, LinkError, Way},
    resp::Reply,
};
use crate::{
    config::Shared,
    state::{
        books::{Books, Line},
        calendar,
        untold::Untold,
    },
};

/// Pause before a store that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Most wishes and changed accounts of a batch, so that no script keeps the store's one thread for long.
const MOST_ASKS: usize = 64;
const MOST_CHANGED: usize = 256;

/// Carries what lies on the desk to the store.
pub struct Courier {
    books: Arc<Books>,
    untold: Arc<Untold>,
    desk: Arc<Desk>,
    way: Way,
    /// How long a batch may take.
    patience: Duration,
    prefix: String,
    /// The store as the log names it.
    place: String,
    is_away: AtomicBool,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Courier {
    /// Returns the courier to the store that `shared` names: from `desk` and of what is `untold` of `books`.
    pub(in crate::state) fn new(
        books: Arc<Books>,
        untold: Arc<Untold>,
        desk: Arc<Desk>,
        shared: &Shared,
    ) -> Result<Self, LinkError> {
        Ok(Self {
            books,
            untold,
            desk,
            way: Way::new(shared.clone())?,
            patience: shared.timeout,
            prefix: shared.prefix.clone(),
            place: shared.place(),
            is_away: AtomicBool::new(false),
        })
    }

    /// Carries until `stop`, then what is left.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let is_last = stop.is_cancelled();
            let Err(error) = Box::pin(self.session(&stop)).await else { return };
            self.desk.close();
            self.tell(&error);
            if is_last {
                let accounts = self.untold.len();
                tracing::error!(store = self.place, accounts, "spending leaves with this process, the store is away");
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// One connection, from its opening until it fails, or until there is nothing left to carry.
    async fn session(&self, stop: &CancellationToken) -> Result<(), LinkError> {
        let mut link = self.way.open().await?;
        let writer = self.books.store.writer().to_owned();
        let patience = || LinkError::Slow(self.patience);
        let key = batch::batch_key(&self.prefix, &writer);
        let newest = link.number(&key);
        // A batch of the connection before may still come; it has the next number at most.
        let mut number = tokio::time::timeout(self.patience, newest).await.map_err(|_| patience())?? + 1;
        // The store may have forgotten, or never heard, any of it.
        self.untold.add(self.books.store.of_periods(&calendar::running(SystemTime::now())));
        self.desk.open();
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!(store = self.place, "the shared store is back, it is told what was spent meanwhile");
        }
        loop {
            let (asks, changed) = (self.desk.take(MOST_ASKS), self.untold.take(MOST_CHANGED));
            let batch = Batch::of(asks, changed, &*self.books.store, SystemTime::now());
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return Ok(());
                }
                tokio::select! {
                    () = self.desk.filled() => {}
                    () = self.untold.grown() => {}
                    () = stop.cancelled() => {}
                    error = link.broken() => return Err(error),
                }
                continue;
            }
            number += 1;
            let carried = tokio::time::timeout(self.patience, carry(&mut link, &batch, &self.prefix, &writer, number));
            match carried.await.unwrap_or_else(|_| Err(patience())) {
                Ok(outcome) => self.hand_out(batch, outcome),
                Err(error) => {
                    self.doubt(&batch);
                    return Err(error);
                }
            }
        }
    }

    /// Gives every wish its verdict, and notes what others have spent.
    fn hand_out(&self, batch: Batch, outcome: Outcome) {
        for (entry, others) in batch.entries().iter().zip(&outcome.others) {
            self.books.store.learn(&entry.shelf, entry.period, *others);
        }
        for (ask, refusal) in batch.asks.into_iter().zip(outcome.wishes) {
            match refusal {
                // Who has left is not refused either.
                Some(refusal) => drop(ask.reply.send(Verdict::Refused(refusal))),
                None => self.grant(ask),
            }
        }
    }

    /// Has everything said again: whether it was written, or will be, is not known.
    fn doubt(&self, batch: &Batch) {
        let store = &self.books.store;
        for entry in batch.entries() {
            // An account of which nothing is kept yet may have been granted something, and must be told to have spent none.
            if store.recall(&entry.shelf).is_none() {
                store.learn(&entry.shelf, entry.period, 0.0);
            }
        }
        self.untold.add(batch.entries().iter().map(|entry| entry.shelf.clone()));
    }

    /// Sets aside here what the store has set aside. Who has stopped waiting gets nothing, and the store is told so.
    fn grant(&self, ask: Ask) {
        if ask.reply.is_closed() {
            self.untold.add(ask.lines.iter().map(Line::shelf));
            return;
        }
        let mut accounts = self.books.open();
        let hold = self.books.set_aside(&mut accounts, ask.lines, ask.usd);
        drop(accounts);
        // A hold that cannot be handed over is dropped, which gives the money back and tells the store.
        let _left = ask.reply.send(Verdict::Granted(hold));
    }

    /// Tells of the first failure of a row.
    fn tell(&self, error: &LinkError) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let store = &self.place;
            tracing::error!(store, %error, cause, "the shared store is away, budgets are held by this process alone");
        }
    }
}

async fn carry(link: &mut Link, batch: &Batch, prefix: &str, writer: &str, number: u64) -> Result<Outcome, LinkError> {
    let reply = link.run(batch.keys(prefix, writer), batch.arguments(writer, number)).await?;
    if reply == Reply::Nil {
        return Err(LinkError::Stale);
    }
    batch.outcome(&reply).ok_or(LinkError::Answer)
}
