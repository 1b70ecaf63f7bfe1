//! Waiting texts and the threads that encode them, as many at once as wait.

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

type Answer = Result<Vec<f32>, EncoderError>;

/// What encodes the texts; tests have one without a model.
pub(super) trait Encode: Send + Sync {
    /// Returns the tokens of a text.
    fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError>;

    /// Returns the embeddings of a group of token sequences.
    fn run(&self, texts: &[&[i64]], deadline: Instant) -> Result<Vec<Vec<f32>>, EncoderError>;
}

/// The queue's face to callers; its threads end when it is dropped.
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    encoder: Box<dyn Encode>,
    state: Mutex<State>,
    arrived: Condvar,
    room: usize,
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
    reply: SyncSender<Answer>,
}

impl Queue {
    /// Starts `workers` threads behind a queue of `room` texts.
    pub(super) fn start(encoder: Box<dyn Encode>, workers: u32, room: usize) -> Result<Self, OpenError> {
        let state = Mutex::new(State::default());
        let workers = usize::try_from(workers).unwrap_or(1).max(1);
        let shared = Arc::new(Shared { encoder, state, arrived: Condvar::new(), room, workers });
        let queue = Self(Arc::clone(&shared));
        for idx in 0..workers {
            let shared = Arc::clone(&shared);
            let name = format!("personaroute-encoder-{idx}");
            let spawned = thread::Builder::new().name(name).spawn(move || shared.work());
            spawned.map_err(|error| OpenError::Encoder(format!("a thread cannot start: {error}")))?;
        }
        Ok(queue)
    }

    /// Returns the embedding of `text`, or refuses at once when the queue is full.
    pub(super) fn embed(&self, text: &str, deadline: Instant) -> Answer {
        // Tokenizing happens on the caller's thread: the workers' time is the model's.
        let ids = self.0.encoder.ids(text)?;
        let (reply, answer) = sync_channel(1);
        self.0.push(Job { ids, deadline, reply })?;
        let left = deadline.saturating_duration_since(Instant::now());
        answer.recv_timeout(left).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(EncoderError::Timeout),
            // A worker that passed the text over for its deadline may be a little faster than this wait.
            RecvTimeoutError::Disconnected if Instant::now() >= deadline => Err(EncoderError::Timeout),
            RecvTimeoutError::Disconnected => Err(EncoderError::Failed("the text encoder's thread ended".to_owned())),
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.arrived.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), EncoderError> {
        let mut state = self.state();
        if state.waiting.len() >= self.room {
            return Err(EncoderError::Overloaded);
        }
        state.waiting.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(mut jobs) = self.take() {
            // Nobody waits any more for a job whose time is over.
            jobs.retain(|job| job.deadline > Instant::now());
            jobs.sort_by_key(|job| job.ids.len());
            let lengths: Vec<_> = jobs.iter().map(|job| job.ids.len()).collect();
            for size in group::groups(&lengths) {
                self.answer(jobs.drain(..size.min(jobs.len())).collect());
            }
        }
    }

    /// Waits for jobs and takes this worker's share of them; none when the queue is closed.
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
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn answer(&self, jobs: Vec<Job>) {
        let texts: Vec<_> = jobs.iter().map(|job| job.ids.as_slice()).collect();
        let result = self.encoder.run(&texts, Instant::now() + Duration::from_secs(60));
        let answers: Vec<Answer> = match result {
            Ok(embeddings) => embeddings.into_iter().map(Ok).collect(),
            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
        };
        for (job, answer) in jobs.into_iter().zip(answers) {
            // A caller that gave up has dropped its end.
            let _gone = job.reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests;
