//! Where decisions are made: on the asking threads while they are quick, else on threads of their own.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use personaroute_host::{RouteError, RouteRequest};
use tokio::sync::oneshot;

use super::{
    Scorer,
    batcher::Batcher,
    job::{RouteJob, RouteResult, apply_default_preference, panic_error},
    latency::{CpuTimer, LatencyEstimator},
    queue::Queue,
};

#[derive(Debug)]
enum QueuedJob {
    Single(Box<RouteJob>, oneshot::Sender<RouteResult>),
    Batch(Vec<RouteJob>, oneshot::Sender<Vec<RouteResult>>),
}

/// What decisions may use.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Threads that decide what is not quick.
    pub threads: usize,
    /// Most requests that wait for one of them.
    pub queue: usize,
    /// Most quick decisions of one call.
    pub batch: usize,
    /// Most time of a decision by another thread, waiting included.
    pub deadline: Duration,
}

/// Threads that own the router's time. Dropping the pool ends them once their queue is empty.
pub struct RoutePool {
    scorer: Arc<dyn Scorer>,
    latency: Arc<LatencyEstimator>,
    batcher: Batcher,
    queue: Arc<Queue<QueuedJob>>,
    deadline: Duration,
}

impl fmt::Debug for RoutePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutePool")
            .field("latency", &self.latency)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl RoutePool {
    /// Starts threads that ask `scorer`, within `limits`.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no thread.
    pub fn start(scorer: &Arc<dyn Scorer>, limits: PoolLimits) -> std::io::Result<Self> {
        let PoolLimits { threads, queue, batch, deadline } = limits;
        let (scorer, latency) = (Arc::clone(scorer), Arc::new(LatencyEstimator::new(Instant::now())));
        let batcher = Batcher::new(Arc::clone(&scorer), Arc::clone(&latency), batch);
        let pool = Self { scorer, latency, batcher, queue: Arc::new(Queue::new(queue)), deadline };
        for idx in 0..threads {
            let (queue, scorer, latency) =
                (Arc::clone(&pool.queue), Arc::clone(&pool.scorer), Arc::clone(&pool.latency));
            let work = move || {
                while let Some(job) = queue.pop() {
                    run(&*scorer, &latency, job);
                }
            };
            std::thread::Builder::new().name(format!("route-{idx}")).spawn(work)?;
        }
        Ok(pool)
    }

    /// Returns the router's decision, or why there is none within the deadline.
    ///
    /// # Errors
    ///
    /// Fails as the router does; a full queue is [`RouteError::Overloaded`].
    pub async fn route(&self, mut job: RouteJob) -> RouteResult {
        // It saves two hops between threads. A decision that is given up is made anew by another thread, and so are those
        // that follow for a while: a router that is slow at times holds a thread that serves sockets for moments far apart.
        if self.latency.allows_inline(Instant::now()) && self.scorer.can_run_inline(&job.request) {
            match self.batcher.decide(job).await {
                Ok(answer) => return answer,
                Err(back) => job = *back,
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.queue.push(QueuedJob::Single(Box::new(job), sender)).map_err(|_| RouteError::Overloaded)?;
        match tokio::time::timeout(self.deadline, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(panic_error()),
            Err(_) => Err(RouteError::Timeout),
        }
    }

    /// Returns one answer for each job, in order. A batch may take longer than one decision: its client waits.
    pub async fn route_batch(&self, jobs: Vec<RouteJob>) -> Vec<RouteResult> {
        let (sender, receiver) = oneshot::channel();
        let count = jobs.len();
        if self.queue.push(QueuedJob::Batch(jobs, sender)).is_err() {
            return vec![Err(RouteError::Overloaded); count];
        }
        receiver.await.unwrap_or_else(|_| vec![Err(panic_error()); count])
    }
}

impl Drop for RoutePool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A panic ends one answer, not the thread; its message may hold request text, so it is not passed on.
fn run(scorer: &dyn Scorer, latency: &LatencyEstimator, job: QueuedJob) {
    match job {
        // A client that left, or a deadline that passed in the queue, needs no work.
        QueuedJob::Single(_, reply) if reply.is_closed() => {}
        QueuedJob::Single(mut job, reply) => {
            apply_default_preference(scorer, &mut job);
            let timer = CpuTimer::begin();
            let answer = catch_unwind(AssertUnwindSafe(|| scorer.route(&job.request)));
            latency.record(timer.elapsed());
            let _gone = reply.send(answer.unwrap_or_else(|_| Err(panic_error())));
        }
        QueuedJob::Batch(_, reply) if reply.is_closed() => {}
        QueuedJob::Batch(mut jobs, reply) => {
            jobs.iter_mut().for_each(|job| apply_default_preference(scorer, job));
            let requests: Vec<RouteRequest> = jobs.into_iter().map(|job| job.request).collect();
            let answers = catch_unwind(AssertUnwindSafe(|| scorer.route_batch(&requests)));
            let _gone = reply.send(answers.unwrap_or_else(|_| vec![Err(panic_error()); requests.len()]));
        }
    }
}

#[cfg(test)]
mod tests;
