//! The result of a routing call: a ranking of the candidates with its explanation.

use std::{sync::Arc, time::Duration};

use crate::UserState;

/// The candidates of one request, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Every candidate exactly once, best first; excluded ones last.
    pub ranking: Vec<Score>,
    /// How much the router knew about the user.
    pub user_state: UserState,
    /// The task that the request declared, else the likeliest one.
    pub task: Option<TaskGuess>,
    /// One English sentence that explains the choice.
    pub why: String,
    /// Duration of the whole call; for a batch, of the call that decided this request.
    pub elapsed: Duration,
}

impl Decision {
    /// Returns the best candidate that may be used.
    pub fn best(&self) -> Option<&Score> {
        self.ranking.iter().find(|score| score.excluded.is_none())
    }
}

/// The scores of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The LLM's id, as the request's candidate has it.
    pub llm: Arc<str>,
    /// Expected reward for this user; higher is better; finite.
    pub utility: f32,
    /// Expected quality, on the training data's scale; finite.
    pub effect: f32,
    /// Expected cost, on the training data's scale; finite.
    pub cost: f32,
    /// Standard deviation of the expected reward; finite, at least 0.
    pub uncertainty: f32,
    /// Why the candidate must not be used; `None` if it may be.
    pub excluded: Option<Exclusion>,
}

/// Why a candidate must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// The prompt does not fit the candidate's context window.
    ContextWindow,
}

impl Exclusion {
    /// Returns the reason in snake case, as in metric labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContextWindow => "context_window",
        }
    }
}

/// The task of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGuess {
    /// The task's name.
    pub task: String,
    /// Probability of the task, 0 to 1; 1 for a declared task.
    pub probability: f32,
}
