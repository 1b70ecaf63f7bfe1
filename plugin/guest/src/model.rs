//! The records of `wit/` as plain types, field by field; `wit/` documents their units and ranges.

use personaroute_bundle::lexical::Lexical;

pub use personaroute_bundle::interaction::AdapterInteraction as Interaction;

/// How query text becomes scorer input.
#[derive(Clone, Debug, PartialEq)]
pub enum TextEncoder {
    /// The lexical encoding of this version.
    Lexical(u32, Lexical),
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

/// Marks a missing value in a column of numbers.
pub const NONE: u32 = u32::MAX;

/// The candidate LLMs in columns; a candidate is a position in each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// The concatenated ids.
    pub ids: String,
    /// Where each id ends, in bytes.
    pub id_ends: Vec<u32>,
    /// [`NONE`] for an LLM that is not in the bundle.
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

    /// Returns the id of the candidate at `position`; empty past the end.
    pub fn id(&self, position: usize) -> &str {
        let end = |position: usize| self.id_ends.get(position).map(|end| *end as usize);
        let start = position.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(position)).and_then(|(start, end)| self.ids.get(start..end));
        range.unwrap_or_default()
    }

    /// Returns the sum of the prices of a million input and a million output tokens, in USD.
    pub fn price(&self, position: usize) -> f64 {
        let of = |prices: &[f32]| prices.get(position).copied().map_or(0.0, f64::from);
        of(&self.input_prices) + of(&self.output_prices)
    }
}

/// A query to route.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub user: Option<String>,
    pub text: String,
    pub task: Option<String>,
    pub preference: Option<f32>,
    pub candidates: Candidates,
    pub prompt_tokens: u32,
}

/// How much the router knows about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    Known,
    Adapted,
    New,
    Anonymous,
}

/// The profile of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub embedding: Vec<f32>,
    pub state: UserState,
    pub interactions: u32,
    pub preference: Option<f32>,
    pub certainty: f32,
}

/// Why a candidate must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    ContextWindow,
}

/// The candidates' order, and their scores by position in the request.
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

/// The ranking of a request and its explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub ranking: Ranking,
    pub user_state: UserState,
    pub task: Option<TaskGuess>,
    pub why: String,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutingError {
    /// The request violates a rule, which the text names.
    InvalidRequest(String),
    /// The host's inference or encoder failed.
    Inference(String),
}
