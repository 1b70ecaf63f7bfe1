//! Quick decisions, made on the threads that serve sockets: those of requests that are ready at the same time are one call of
//! the scorer, which takes little longer than one decision.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread::{self, ThreadId},
    time::Instant,
};

use personaroute_host::{RouteError, RouteRequest};
use tokio::sync::oneshot;

use super::{
    Scorer,
    job::{RouteJob, RouteResult, apply_default_preference, panic_error},
    latency::{CpuTimer, LatencyEstimator},
};

/// An answer, or the job back: other threads have to decide, and each alone.
type BatchOutcome = Result<RouteResult, Box<RouteJob>>;

/// Questions on their way into a call.
pub(super) struct Batcher {
    scorer: Arc<dyn Scorer>,
    latency: Arc<LatencyEstimator>,
    /// By the thread that asks: an answer stays on its core.
    waiting: Mutex<Vec<(ThreadId, Vec<PendingJob>)>>,
    /// Most decisions of one call: whoever waits for one of them waits for all.
    max_batch: usize,
}

struct PendingJob {
    job: RouteJob,
    reply: oneshot::Sender<BatchOutcome>,
}

impl Batcher {
    pub(super) fn new(scorer: Arc<dyn Scorer>, latency: Arc<LatencyEstimator>, max_batch: usize) -> Self {
        Self { scorer, latency, waiting: Mutex::default(), max_batch }
    }

    /// Returns the scorer's decision, made on this thread once the requests that are ready have asked too.
    pub(super) async fn decide(&self, job: RouteJob) -> BatchOutcome {
        let (reply, made) = oneshot::channel();
        if let Some(leader) = self.wait(PendingJob { job, reply }) {
            let mut has_more = true;
            while has_more {
                yield_once().await;
                has_more = leader.call();
            }
        }
        made.await.unwrap_or_else(|_| Ok(Err(panic_error())))
    }

    /// Lets `waiting` wait for its thread's next call; the first to do so has to make it.
    fn wait(&self, waiting: PendingJob) -> Option<BatchLeader<'_>> {
        let thread = thread::current().id();
        let mut pending = self.pending();
        let is_first = match pending.iter_mut().find(|(asking, _)| *asking == thread) {
            Some((_, list)) => {
                list.push(waiting);
                list.len() == 1
            }
            None => {
                pending.push((thread, vec![waiting]));
                true
            }
        };
        drop(pending);
        if is_first { Some(BatchLeader { batcher: self, thread }) } else { None }
    }

    /// Takes out at most `max_batch` that wait for a call of `thread`, and tells whether more do.
    fn take(&self, thread: ThreadId, max_batch: usize) -> (Vec<PendingJob>, bool) {
        let mut pending = self.pending();
        let Some((_, list)) = pending.iter_mut().find(|(asking, _)| *asking == thread) else {
            return (Vec::new(), false);
        };
        let taken = list.drain(..list.len().min(max_batch)).collect();
        (taken, !list.is_empty())
    }

    /// Decides about all of `batch` in one call.
    fn call(&self, mut batch: Vec<PendingJob>) {
        // A client that left needs no work.
        batch.retain(|waiting| !waiting.reply.is_closed());
        let count = batch.len();
        if count == 0 {
            return;
        }
        let timer = CpuTimer::begin();
        let open = |mut waiting: PendingJob| {
            apply_default_preference(&*self.scorer, &mut waiting.job);
            let RouteJob { request, preference } = waiting.job;
            (request, (preference, waiting.reply))
        };
        let (requests, asked): (Vec<RouteRequest>, Vec<_>) = batch.into_iter().map(open).unzip();
        let answers = catch_unwind(AssertUnwindSafe(|| self.scorer.route_inline(&requests)));
        let answers = answers.unwrap_or_else(|_| vec![Err(panic_error()); count]);
        if answers.iter().any(is_late) {
            self.latency.record_timeout(timer.elapsed(), Instant::now());
        } else {
            self.latency.record(timer.elapsed() / u32::try_from(count).unwrap_or(u32::MAX));
        }
        for ((answer, request), (preference, reply)) in answers.into_iter().zip(requests).zip(asked) {
            let is_final = is_final(&answer, count == 1);
            let made = if is_final { Ok(answer) } else { Err(Box::new(RouteJob { request, preference })) };
            let _gone = reply.send(made);
        }
    }

    /// A panic cannot leave the lists half changed: every change is one call.
    fn pending(&self) -> MutexGuard<'_, Vec<(ThreadId, Vec<PendingJob>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to decide for all who wait on a thread; who gives it up sends them elsewhere.
struct BatchLeader<'a> {
    batcher: &'a Batcher,
    thread: ThreadId,
}

impl BatchLeader<'_> {
    /// Makes one call, and tells whether another one is due.
    fn call(&self) -> bool {
        let (batch, has_more) = self.batcher.take(self.thread, self.batcher.max_batch);
        self.batcher.call(batch);
        has_more
    }
}

impl Drop for BatchLeader<'_> {
    fn drop(&mut self) {
        let (left, _) = self.batcher.take(self.thread, usize::MAX);
        for PendingJob { job, reply } in left {
            let _gone = reply.send(Err(Box::new(job)));
        }
    }
}

/// Lets everything run that is ready to run on this thread.
async fn yield_once() {
    let mut has_waited = false;
    poll_fn(|ctx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        ctx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn is_late(answer: &RouteResult) -> bool {
    matches!(answer, Err(RouteError::Timeout | RouteError::Overloaded))
}

/// Returns whether nothing else can be expected of this request; beside others in a call it may have failed for theirs.
fn is_final(answer: &RouteResult, is_alone: bool) -> bool {
    match answer {
        Ok(_) | Err(RouteError::InvalidRequest(_)) => true,
        Err(RouteError::Timeout | RouteError::Overloaded) => false,
        Err(
            RouteError::Trapped { .. }
            | RouteError::OutOfMemory
            | RouteError::InvalidDecision(_)
            | RouteError::Inference(_)
            | RouteError::Plugin(_),
        ) => is_alone,
    }
}

#[cfg(test)]
mod tests;
