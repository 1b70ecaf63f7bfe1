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
    pace::{Pace, Work},
    question::{Answer, Question, panicked, settle},
    queue::Queue,
};

#[derive(Debug)]
enum Job {
    One(Box<Question>, oneshot::Sender<Answer>),
    Many(Vec<Question>, oneshot::Sender<Vec<Answer>>),
}

/// What decisions may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
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
    pace: Arc<Pace>,
    batcher: Batcher,
    queue: Arc<Queue<Job>>,
    deadline: Duration,
}

impl fmt::Debug for RoutePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutePool").field("pace", &self.pace).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl RoutePool {
    /// Starts threads that ask `scorer`, within `limits`.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no thread.
    pub fn start(scorer: &Arc<dyn Scorer>, limits: Limits) -> std::io::Result<Self> {
        let Limits { threads, queue, batch, deadline } = limits;
        let (scorer, pace) = (Arc::clone(scorer), Arc::new(Pace::new(Instant::now())));
        let batcher = Batcher::new(Arc::clone(&scorer), Arc::clone(&pace), batch);
        let pool = Self { scorer, pace, batcher, queue: Arc::new(Queue::new(queue)), deadline };
        for idx in 0..threads {
            let (queue, scorer, pace) = (Arc::clone(&pool.queue), Arc::clone(&pool.scorer), Arc::clone(&pool.pace));
            let work = move || {
                while let Some(job) = queue.pop() {
                    run(&*scorer, &pace, job);
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
    pub async fn route(&self, mut question: Question) -> Answer {
        // It saves two hops between threads. A decision that is given up is made anew by another thread, and so are those
        // that follow for a while: a router that is slow at times holds a thread that serves sockets for moments far apart.
        if self.pace.is_quick(Instant::now()) && self.scorer.is_quick(&question.request) {
            match self.batcher.decide(question).await {
                Ok(answer) => return answer,
                Err(back) => question = *back,
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.queue.push(Job::One(Box::new(question), sender)).map_err(|_| RouteError::Overloaded)?;
        match tokio::time::timeout(self.deadline, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(panicked()),
            Err(_) => Err(RouteError::Timeout),
        }
    }

    /// Returns one answer for each question, in order. A batch may take longer than one decision: its client waits.
    pub async fn route_batch(&self, questions: Vec<Question>) -> Vec<Answer> {
        let (sender, receiver) = oneshot::channel();
        let count = questions.len();
        if self.queue.push(Job::Many(questions, sender)).is_err() {
            return vec![Err(RouteError::Overloaded); count];
        }
        receiver.await.unwrap_or_else(|_| vec![Err(panicked()); count])
    }
}

impl Drop for RoutePool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A panic ends one answer, not the thread; its message may hold request text, so it is not passed on.
fn run(scorer: &dyn Scorer, pace: &Pace, job: Job) {
    match job {
        // A client that left, or a deadline that passed in the queue, needs no work.
        Job::One(_, reply) if reply.is_closed() => {}
        Job::One(mut question, reply) => {
            settle(scorer, &mut question);
            let work = Work::begin();
            let answer = catch_unwind(AssertUnwindSafe(|| scorer.route(&question.request)));
            pace.took(work.time());
            let _gone = reply.send(answer.unwrap_or_else(|_| Err(panicked())));
        }
        Job::Many(_, reply) if reply.is_closed() => {}
        Job::Many(mut questions, reply) => {
            questions.iter_mut().for_each(|question| settle(scorer, question));
            let requests: Vec<RouteRequest> = questions.into_iter().map(|question| question.request).collect();
            let answers = catch_unwind(AssertUnwindSafe(|| scorer.route_batch(&requests)));
            let _gone = reply.send(answers.unwrap_or_else(|_| vec![Err(panicked()); requests.len()]));
        }
    }
}

#[cfg(test)]
mod tests;
