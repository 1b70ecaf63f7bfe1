//! What the calls carry, in plain types: the records of `wit/`, one for one, where their units and ranges are given.

use personaroute_bundle::lexical::Lexical;

/// How query text becomes scorer input.
#[derive(Clone, Debug, PartialEq)]
pub enum TextEncoder {
    Lexical(Lexical),
    /// A dense vector of this length from the host.
    Embedding(u32),
}

/// The facts about the loaded bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub text_encoder: TextEncoder,
    pub tasks: Vec<String>,
    pub llm_columns: u32,
    pub prior: Vec<f32>,
}

/// In a column of numbers: there is none.
pub const NONE: u32 = u32::MAX;

/// The LLMs that may answer, a list per fact; a candidate is its position in each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// The ids, one after another.
    pub ids: String,
    /// Where each id ends, in bytes.
    pub id_ends: Vec<u32>,
    /// [`NONE`] when the bundle does not know the LLM.
    pub columns: Vec<u32>,
    pub input_prices: Vec<f32>,
    pub output_prices: Vec<f32>,
    /// [`NONE`] when unbounded.
    pub context_windows: Vec<u32>,
}

impl Candidates {
    /// Returns the number of candidates.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Returns whether there is no candidate.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the id of the candidate at `position`; empty when there is none.
    pub fn id(&self, position: usize) -> &str {
        let end = |position: usize| self.id_ends.get(position).map(|end| *end as usize);
        let start = position.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(position)).and_then(|(start, end)| self.ids.get(start..end));
        range.unwrap_or_default()
    }

    /// Returns the price of a million tokens each way.
    pub fn price(&self, position: usize) -> f64 {
        let of = |prices: &[f32]| prices.get(position).copied().map_or(0.0, f64::from);
        of(&self.input_prices) + of(&self.output_prices)
    }
}

/// What is to be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub user: Option<String>,
    pub text: String,
    pub task: Option<String>,
    pub preference: Option<f32>,
    pub candidates: Candidates,
    pub prompt_tokens: u32,
}

/// How much is known about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    Known,
    Adapted,
    New,
    Anonymous,
}

/// What is known about a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub embedding: Vec<f32>,
    pub state: UserState,
    pub interactions: u32,
    pub preference: Option<f32>,
}

/// Why a candidate must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    ContextWindow,
}

/// The candidates' order, and their scores by position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    pub order: Vec<u32>,
    pub utilities: Vec<f32>,
    pub effects: Vec<f32>,
    pub costs: Vec<f32>,
    pub uncertainties: Vec<f32>,
    pub excluded: Vec<(u32, Exclusion)>,
}

/// The declared or likeliest task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskGuess {
    pub task: String,
    pub probability: f32,
}

/// The candidates in order, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub ranking: Ranking,
    pub user_state: UserState,
    pub task: Option<TaskGuess>,
    pub why: String,
}

/// One answer a user rated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interaction {
    pub llm_column: u32,
    pub task_column: Option<u32>,
    pub query: u64,
    pub reward: f32,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutingError {
    /// The request breaks a rule; says which.
    InvalidRequest(String),
    /// The host's inference or encoder failed.
    Inference(String),
}
