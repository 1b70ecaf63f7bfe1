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

/// An LLM that may answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub llm: String,
    pub column: Option<u32>,
    pub input_price: f32,
    pub output_price: f32,
    pub context_window: Option<u32>,
}

/// What is to be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub user: Option<String>,
    pub text: String,
    pub task: Option<String>,
    pub preference: Option<f32>,
    pub candidates: Vec<Candidate>,
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

/// One candidate's place in the ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub llm: String,
    pub utility: f32,
    pub effect: f32,
    pub cost: f32,
    pub uncertainty: f32,
    pub excluded: Option<Exclusion>,
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
    pub ranking: Vec<Score>,
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
