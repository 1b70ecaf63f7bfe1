//! The queue of requests that want money reserved in the shared store, each of which waits for its reply.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::sync::{Notify, oneshot};

use crate::state::{account::LimitExceeded, budget_period::BudgetPeriod, lock::lock, reservation::Reservation};

/// The queue between requests and the task that talks to the store.
#[derive(Debug)]
pub(in crate::state) struct ReservationQueue {
    pending: Mutex<Pending>,
    filled: Notify,
    /// How long a request waits for its reply.
    timeout: Duration,
}

#[derive(Debug)]
struct Pending {
    /// Whether the store answered the last batch.
    is_open: bool,
    requests: VecDeque<ReserveRequest>,
}

/// A request to reserve money.
#[derive(Debug)]
pub(super) struct ReserveRequest {
    pub(super) budgets: Vec<BudgetPeriod>,
    pub(super) usd: f64,
    pub(super) reply: oneshot::Sender<ReserveReply>,
}

/// The reply to a [`ReserveRequest`].
#[derive(Debug)]
pub(in crate::state) enum ReserveReply {
    /// The money is reserved in the store and in this process.
    Granted(Reservation),
    /// A budget is exceeded.
    Refused(LimitExceeded),
    /// The store did not answer in time.
    Unavailable,
}

impl ReservationQueue {
    /// Returns an open queue in which a request waits for at most `timeout`.
    pub(in crate::state) fn new(timeout: Duration) -> Self {
        let pending = Pending { is_open: true, requests: VecDeque::new() };
        Self { pending: Mutex::new(pending), filled: Notify::new(), timeout }
    }

    /// Reserves `usd` in each of `budgets`, or in none.
    pub(in crate::state) async fn reserve(&self, budgets: Vec<BudgetPeriod>, usd: f64) -> ReserveReply {
        let (reply, replied) = oneshot::channel();
        {
            let mut pending = lock(&self.pending);
            if !pending.is_open {
                return ReserveReply::Unavailable;
            }
            pending.requests.push_back(ReserveRequest { budgets, usd, reply });
        }
        self.filled.notify_one();
        match tokio::time::timeout(self.timeout, replied).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => ReserveReply::Unavailable,
        }
    }

    /// Takes at most `limit` requests, without those that have stopped waiting.
    pub(super) fn take(&self, limit: usize) -> Vec<ReserveRequest> {
        let mut pending = lock(&self.pending);
        let count = pending.requests.len().min(limit);
        pending.requests.drain(..count).filter(|request| !request.reply.is_closed()).collect()
    }

    /// Waits until a request was added since the last wait; for one waiter.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Lets requests wait for the store again.
    pub(super) fn open(&self) {
        lock(&self.pending).is_open = true;
    }

    /// Replies `Unavailable` to every request, until the queue is opened again.
    pub(super) fn close(&self) {
        let mut pending = lock(&self.pending);
        pending.is_open = false;
        pending.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config::Period;

    fn budgets() -> Vec<BudgetPeriod> {
        vec![BudgetPeriod::at("key:k", Period::Day, 1.0, SystemTime::UNIX_EPOCH)]
    }

    #[tokio::test]
    async fn a_closed_queue_replies_at_once_and_to_those_who_wait() {
        let queue = ReservationQueue::new(Duration::from_secs(3_600));
        let waiting = queue.reserve(budgets(), 0.5);
        let closing = async { queue.close() };
        let (reply, ()) = tokio::join!(biased; waiting, closing);
        assert!(matches!(reply, ReserveReply::Unavailable));
        assert!(matches!(queue.reserve(budgets(), 0.5).await, ReserveReply::Unavailable));
        queue.open();
        let refusing = async {
            let refusal = LimitExceeded { limit: "budget", retry_after: Duration::ZERO };
            queue.take(9).into_iter().for_each(|request| drop(request.reply.send(ReserveReply::Refused(refusal))));
        };
        let (reply, ()) = tokio::join!(biased; queue.reserve(budgets(), 0.5), refusing);
        assert!(matches!(reply, ReserveReply::Refused(_)));
    }

    #[tokio::test]
    async fn a_request_that_timed_out_is_not_sent() {
        let queue = ReservationQueue::new(Duration::from_millis(10));
        assert!(matches!(queue.reserve(budgets(), 0.5).await, ReserveReply::Unavailable));
        assert!(queue.take(9).is_empty());
    }
}
