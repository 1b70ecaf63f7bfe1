//! What a caller gets: a ranking and its reasons.

use std::{sync::Arc, time::Duration};

use crate::UserState;

/// The candidates of one request, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Every candidate exactly once, best first; excluded ones last.
    pub ranking: Vec<Score>,
    /// How much the router knew about the user.
    pub user_state: UserState,
    /// The declared or likeliest task.
    pub task: Option<TaskGuess>,
    /// One sentence for people.
    pub why: String,
    /// Time of the whole call; of its batch's call for a batch.
    pub elapsed: Duration,
}

impl Decision {
    /// Returns the best candidate that may be used.
    pub fn best(&self) -> Option<&Score> {
        self.ranking.iter().find(|score| score.excluded.is_none())
    }
}

/// One candidate's place in the ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The LLM's id, as the request's candidate has it.
    pub llm: Arc<str>,
    /// Expected reward for this user; higher is better; finite.
    pub utility: f32,
    /// Expected quality, on the training data's scale.
    pub effect: f32,
    /// Expected cost, on the training data's scale.
    pub cost: f32,
    /// Standard deviation of the expected reward; at least 0.
    pub uncertainty: f32,
    /// Why the candidate must not be used.
    pub excluded: Option<Exclusion>,
}

/// Why a candidate must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// The prompt does not fit the candidate's context window.
    ContextWindow,
}

impl Exclusion {
    /// Returns the reason in lower case, as labels and rows spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContextWindow => "context_window",
        }
    }
}

/// The task a query was taken for.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGuess {
    /// The task's name.
    pub task: String,
    /// 0 to 1; 1 for a declared task.
    pub probability: f32,
}
