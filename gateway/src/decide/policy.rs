//! The rules of one virtual model.

use std::{sync::Arc, time::Duration};

/// What a virtual model allows and assumes.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The name that clients send as `model`.
    pub name: Arc<str>,
    /// The LLMs that may answer.
    pub candidates: Vec<Arc<str>>,
    /// The preference of requests that declare none; none leaves it to the user.
    pub preference: Option<f32>,
    /// The task of requests that declare none.
    pub task: Option<String>,
    /// The order when the router gives none; LLMs not named follow, cheapest first.
    pub fallback: Vec<Arc<str>>,
    /// What a candidate must satisfy.
    pub constraints: Constraints,
    /// How much better another LLM's utility must be to take a conversation over.
    pub margin: f32,
    /// How long after its last answer a conversation keeps its LLM.
    pub expiry: Duration,
}

/// What a candidate must satisfy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// USD per million input tokens.
    pub max_input_price: Option<f32>,
    /// USD per million output tokens.
    pub max_output_price: Option<f32>,
    /// Allowed region tags; empty allows all.
    pub regions: Vec<String>,
}
