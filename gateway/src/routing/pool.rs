//! Runs decisions inline while they are fast, and otherwise on a thread pool.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use personaroute_host::{RouteError, RouteRequest};
use tokio::sync::oneshot;

use super::{
    Scorer,
    batcher::Batcher,
    job::{RouteJob, RouteResult, apply_default_preference, panic_error},
    latency::{CpuTimer, LatencyEstimator},
};

#[derive(Debug)]
enum QueuedJob {
    Single(Box<RouteJob>, oneshot::Sender<RouteResult>),
    Batch(Vec<RouteJob>, oneshot::Sender<Vec<RouteResult>>),
}

/// The limits of the pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Threads for decisions that do not run inline.
    pub threads: usize,
    /// Most jobs in the queue of these threads.
    pub queue: usize,
    /// Most inline decisions of one call.
    pub batch: usize,
    /// Deadline of a decision on the thread pool, including its wait in the queue.
    pub deadline: Duration,
}

/// Runs the decisions of one router. Dropping the pool stops its threads once the queue is empty.
pub struct RoutePool {
    scorer: Arc<dyn Scorer>,
    latency: Arc<LatencyEstimator>,
    batcher: Batcher,
    queue: Sender<QueuedJob>,
    deadline: Duration,
    version: Arc<str>,
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
    /// Starts the threads that call `scorer`, within `limits`.
    ///
    /// # Errors
    ///
    /// Fails if a thread cannot be spawned.
    pub fn start(scorer: &Arc<dyn Scorer>, limits: PoolLimits) -> std::io::Result<Self> {
        let PoolLimits { threads, queue, batch, deadline } = limits;
        let version = Arc::from(scorer.version());
        let (scorer, latency) = (Arc::clone(scorer), Arc::new(LatencyEstimator::new(Instant::now())));
        let batcher = Batcher::new(Arc::clone(&scorer), Arc::clone(&latency), batch);
        let (queue, jobs) = crossbeam_channel::bounded(queue);
        let pool = Self { scorer, latency, batcher, queue, deadline, version };
        for idx in 0..threads {
            let (jobs, scorer, latency) = (jobs.clone(), Arc::clone(&pool.scorer), Arc::clone(&pool.latency));
            let work = move || jobs.into_iter().for_each(|job| run(&*scorer, &latency, job));
            std::thread::Builder::new().name(format!("route-{idx}")).spawn(work)?;
        }
        Ok(pool)
    }

    /// Returns the router.
    pub fn scorer(&self) -> &Arc<dyn Scorer> {
        &self.scorer
    }

    /// Returns the version of the router's bundle.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Returns the router's decision within the deadline.
    ///
    /// # Errors
    ///
    /// Fails as the router does; a full queue is [`RouteError::Overloaded`].
    pub async fn route(&self, mut job: RouteJob) -> RouteResult {
        // Running inline saves two hops between threads. An inline decision that times out runs again on the thread pool,
        // and the cool-down keeps the following ones there, so that a slow router rarely blocks a thread that serves sockets.
        if self.latency.allows_inline(Instant::now()) && self.scorer.can_run_inline(&job.request) {
            match self.batcher.decide(job).await {
                Ok(answer) => return answer,
                Err(back) => job = *back,
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.queue.try_send(QueuedJob::Single(Box::new(job), sender)).map_err(|_| RouteError::Overloaded)?;
        match tokio::time::timeout(self.deadline, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(panic_error()),
            Err(_) => Err(RouteError::Timeout),
        }
    }

    /// Returns one result for each job, in order. A batch has no deadline of its own.
    pub async fn route_batch(&self, jobs: Vec<RouteJob>) -> Vec<RouteResult> {
        let (sender, receiver) = oneshot::channel();
        let count = jobs.len();
        if self.queue.try_send(QueuedJob::Batch(jobs, sender)).is_err() {
            return vec![Err(RouteError::Overloaded); count];
        }
        receiver.await.unwrap_or_else(|_| vec![Err(panic_error()); count])
    }
}

/// Runs `job`. A panic fails the job, not the thread; its message may contain request text, so it is dropped.
fn run(scorer: &dyn Scorer, latency: &LatencyEstimator, job: QueuedJob) {
    match job {
        // Skip requests whose client disconnected or whose deadline passed in the queue.
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
