//! What waits for the writer: decisions, which nobody waits for, and operations, which somebody does.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    adapter::Target,
    clock,
    error::StoreError,
    record::{Candidate, Decision, Origin, Scores, TaskGuess},
    store::{Durability, RawStore},
};
use crate::decide::{Exploration, Plan};

/// How long decisions collect before they are written. It saves a serving thread from waking the writer for each.
const COLLECT: Duration = Duration::from_millis(20);

/// A decision as the request leaves it.
#[derive(Debug)]
pub struct RoutedDecision {
    /// The plan.
    pub plan: Plan,
    /// The exploration of the virtual model.
    pub exploration: Option<Exploration>,
    /// The user.
    pub user: Arc<str>,
    /// The LLM that answered.
    pub llm: Arc<str>,
    /// The query, of which only features are kept.
    pub text: String,
    /// The router that decided.
    pub target: Target,
}

/// Runs after a batch is committed.
pub(super) type Callback = Box<dyn FnOnce() + Send>;

/// Runs on the store inside a batch; returns what runs after the batch is committed.
pub type Submission = Box<dyn FnOnce(&mut dyn RawStore) -> Result<Callback, StoreError> + Send>;

/// An operation that somebody waits for.
pub(super) struct Operation {
    pub(super) run: Submission,
    pub(super) durability: Durability,
}

/// Work for the writer, in the order of its arrival.
pub(super) enum Work {
    Decision(Box<RoutedDecision>),
    Operation(Operation),
}

/// A bounded queue.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    work: Vec<Work>,
    is_urgent: bool,
    is_closed: bool,
}

impl Queue {
    /// Returns an empty queue of at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Adds a decision; returns whether there was room.
    pub(super) fn push_decision(&self, decision: RoutedDecision) -> bool {
        let mut state = self.lock();
        if state.work.len() >= self.most || state.is_closed {
            return false;
        }
        state.work.push(Work::Decision(Box::new(decision)));
        if state.work.len() == 1 {
            drop(state);
            self.changed.notify_one();
        }
        true
    }

    /// Adds an operation, which is run at once; returns whether there was room.
    pub(super) fn push(&self, operation: Operation) -> bool {
        let mut state = self.lock();
        if state.work.len() >= self.most || state.is_closed {
            return false;
        }
        state.work.push(Work::Operation(operation));
        state.is_urgent = true;
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Lets the writer finish what waits and end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.lock().work.len()
    }

    /// Takes all work, after a wait of at most `idle` for some; none when the queue is closed and empty.
    pub(super) fn take(&self, idle: Duration) -> Option<Vec<Work>> {
        let is_idle = |state: &mut State| state.work.is_empty() && !state.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), idle, is_idle);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let is_unhurried = |state: &mut State| !state.work.is_empty() && !state.is_urgent && !state.is_closed;
        let waited = self.changed.wait_timeout_while(state, COLLECT, is_unhurried);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_urgent = false;
        let work = std::mem::take(&mut state.work);
        (!work.is_empty() || !state.is_closed).then_some(work)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl RoutedDecision {
    /// Returns the record: the text is replaced by its features.
    pub(super) fn into_record(self) -> Decision {
        let Self { plan, exploration, user, llm, text, target } = self;
        let is_chosen = plan.chosen().is_some_and(|chosen| chosen.llm == llm);
        let propensity = match (plan.explored, exploration) {
            _ if !is_chosen || plan.fallback_reason.is_some() => None,
            (Some(_), Some(exploration)) => Some(exploration.propensity(&plan.ranking, &llm)),
            _ => Some(1.0),
        };
        let candidates = plan.ranking.iter().map(|ranked| Candidate {
            llm: ranked.llm.to_string(),
            scores: ranked.score.as_ref().map(|score| Scores {
                utility: score.utility,
                effect: score.effect,
                cost: score.cost,
                uncertainty: score.uncertainty,
            }),
        });
        Decision {
            time: clock::now(),
            candidates: candidates.collect(),
            user: user.to_string(),
            origin: Origin {
                model: plan.virtual_model.as_deref().unwrap_or_default().to_owned(),
                llm: llm.to_string(),
                task: plan.task.map(|task| TaskGuess { name: task.task, probability: task.probability }),
                features: target.scorer.query_features(&text),
                propensity,
                explored: plan.explored.map(|explored| explored.as_str().to_owned()),
                bundle: target.bundle.to_string(),
            },
            id: plan.id,
        }
    }
}
