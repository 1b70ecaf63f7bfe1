//! Runs decisions inline on the threads that serve sockets. Requests of one thread that are ready together share one call of
//! the scorer, which takes little longer than a call for one request.

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

/// The result, or the job itself if it must run alone on the thread pool.
type BatchOutcome = Result<RouteResult, Box<RouteJob>>;

/// Collects the jobs of each thread into batches.
pub(super) struct Batcher {
    scorer: Arc<dyn Scorer>,
    latency: Arc<LatencyEstimator>,
    /// The pending jobs of each thread, so that a result stays on its core.
    waiting: Mutex<Vec<(ThreadId, Vec<PendingJob>)>>,
    /// Most jobs of one call, as all of them wait for the whole call.
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

    /// Decides on this thread, in one call with the other requests that are ready.
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

    /// Adds `waiting` to the next batch of this thread. The first job of a batch becomes its leader.
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

    /// Takes at most `max_batch` pending jobs of `thread`, and returns whether more are pending.
    fn take(&self, thread: ThreadId, max_batch: usize) -> (Vec<PendingJob>, bool) {
        let mut pending = self.pending();
        let Some((_, list)) = pending.iter_mut().find(|(asking, _)| *asking == thread) else {
            return (Vec::new(), false);
        };
        let taken = list.drain(..list.len().min(max_batch)).collect();
        (taken, !list.is_empty())
    }

    /// Decides on all jobs of `batch` in one call.
    fn call(&self, mut batch: Vec<PendingJob>) {
        // Skip requests whose client disconnected.
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

    /// A poisoned lock is usable: every update is a single call, so no panic leaves a partial one.
    fn pending(&self) -> MutexGuard<'_, Vec<(ThreadId, Vec<PendingJob>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request that makes the call for its thread. If it is dropped first, the pending jobs go to the thread pool.
struct BatchLeader<'a> {
    batcher: &'a Batcher,
    thread: ThreadId,
}

impl BatchLeader<'_> {
    /// Makes one call, and returns whether more jobs are pending.
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

/// Yields once, so that every task that is ready on this thread runs first.
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

/// Returns whether the result is final. A failure in a batch may have been caused by another request of the batch.
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
