//! The deadline of a request head: a client that takes too long to send it loses its connection.
//!
//! The time runs from the first byte of the head: a connection that is idle between two requests has a timeout of its own.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

/// Counts the starts and ends of the requests on a connection: it is odd while a request is served.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestCount(Arc<AtomicU64>);

impl RequestCount {
    /// Notes that a request's head is complete. The request ends when the guard is dropped.
    pub(super) fn start(&self) -> RequestGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self.clone())
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request that is served.
#[derive(Debug)]
pub(super) struct RequestGuard(RequestCount);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The deadline of the head that a connection reads.
#[derive(Debug)]
pub(super) struct HeadDeadline {
    requests: RequestCount,
    timeout: Duration,
    head: Option<Head>,
}

/// A head whose first byte has arrived.
#[derive(Debug)]
struct Head {
    /// The count of requests at its first byte.
    count: u64,
    /// Started when the connection waits for more of the head. Most heads arrive at once and never start it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HeadDeadline {
    /// Returns a deadline of `timeout` for each head; `requests` are those of the connection.
    pub(super) fn new(requests: RequestCount, timeout: Duration) -> Self {
        Self { requests, timeout, head: None }
    }

    /// Is ready if the head has taken too long.
    pub(super) fn poll_expired(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        let count = self.requests.get();
        self.head.take_if(|head| head.count != count);
        match self.head.as_mut().and_then(|head| head.timer.as_mut()) {
            Some(timer) => timer.as_mut().poll(ctx),
            None => Poll::Pending,
        }
    }

    /// Notes that bytes have arrived.
    pub(super) fn bytes_arrived(&mut self) {
        let count = self.requests.get();
        if count.is_multiple_of(2) && self.head.is_none() {
            self.head = Some(Head { count, timer: None });
        }
    }

    /// Starts the timer if the head is incomplete and no more bytes are there; it then wakes the task of `ctx`.
    pub(super) fn bytes_awaited(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        match &mut self.head {
            Some(Head { timer: timer @ None, .. }) => {
                timer.insert(Box::pin(tokio::time::sleep(self.timeout))).as_mut().poll(ctx)
            }
            _ => Poll::Pending,
        }
    }
}
