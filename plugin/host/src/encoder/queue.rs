//! A bounded queue of texts and the threads that encode them in batches.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{EncoderError, group};
use crate::OpenError;

type EncodeResult = Result<Vec<f32>, EncoderError>;

/// Encodes texts; tests implement it without a model.
pub(super) trait Encode: Send + Sync {
    /// Returns the tokens of a text.
    fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError>;

    /// Returns the embeddings of a group of token sequences.
    fn run(&self, texts: &[&[i64]], deadline: Instant) -> Result<Vec<Vec<f32>>, EncoderError>;
}

/// The handle of callers; its threads end when it is dropped.
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    encoder: Box<dyn Encode>,
    state: Mutex<State>,
    job_added: Condvar,
    capacity: usize,
    workers: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

struct Job {
    ids: Vec<i64>,
    deadline: Instant,
    reply: SyncSender<EncodeResult>,
}

impl Queue {
    /// Starts `workers` threads behind a queue of at most `capacity` texts.
    pub(super) fn start(encoder: Box<dyn Encode>, workers: u32, capacity: usize) -> Result<Self, OpenError> {
        let state = Mutex::new(State::default());
        let workers = usize::try_from(workers).unwrap_or(1).max(1);
        let shared = Arc::new(Shared { encoder, state, job_added: Condvar::new(), capacity, workers });
        let queue = Self(Arc::clone(&shared));
        for idx in 0..workers {
            let shared = Arc::clone(&shared);
            let name = format!("personaroute-encoder-{idx}");
            let spawned = thread::Builder::new().name(name).spawn(move || shared.run_worker());
            spawned.map_err(|error| OpenError::Encoder(format!("a thread cannot start: {error}")))?;
        }
        Ok(queue)
    }

    /// Returns the embedding of `text`; fails immediately when the queue is full.
    pub(super) fn embed(&self, text: &str, deadline: Instant) -> EncodeResult {
        // The caller's thread tokenizes, so that the workers only run the model.
        let ids = self.0.encoder.ids(text)?;
        let (reply, result) = sync_channel(1);
        self.0.push(Job { ids, deadline, reply })?;
        let left = deadline.saturating_duration_since(Instant::now());
        result.recv_timeout(left).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(EncoderError::Timeout),
            // A worker that dropped the job at its deadline may be slightly earlier than this wait.
            RecvTimeoutError::Disconnected if Instant::now() >= deadline => Err(EncoderError::Timeout),
            RecvTimeoutError::Disconnected => {
                Err(EncoderError::Failed("the text encoder's thread has ended".to_owned()))
            }
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.job_added.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), EncoderError> {
        let mut state = self.state();
        if state.waiting.len() >= self.capacity {
            return Err(EncoderError::Overloaded);
        }
        state.waiting.push_back(job);
        drop(state);
        self.job_added.notify_one();
        Ok(())
    }

    fn run_worker(&self) {
        while let Some(mut jobs) = self.take() {
            // The caller of a job past its deadline has given up.
            jobs.retain(|job| job.deadline > Instant::now());
            jobs.sort_by_key(|job| job.ids.len());
            let lengths: Vec<_> = jobs.iter().map(|job| job.ids.len()).collect();
            for size in group::groups(&lengths) {
                self.encode(jobs.drain(..size.min(jobs.len())).collect());
            }
        }
    }

    /// Waits for jobs and takes this worker's share of them; `None` once the queue is closed.
    fn take(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let share = state.waiting.len().div_ceil(self.workers).min(group::MAX_GROUP);
            if share > 0 {
                return Some(state.waiting.drain(..share).collect());
            }
            state = self.job_added.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn encode(&self, jobs: Vec<Job>) {
        let texts: Vec<_> = jobs.iter().map(|job| job.ids.as_slice()).collect();
        let result = self.encoder.run(&texts, Instant::now() + Duration::from_secs(60));
        let results: Vec<EncodeResult> = match result {
            Ok(embeddings) => embeddings.into_iter().map(Ok).collect(),
            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
        };
        for (job, result) in jobs.into_iter().zip(results) {
            // A caller that has given up has dropped its receiver.
            let _gone = job.reply.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
