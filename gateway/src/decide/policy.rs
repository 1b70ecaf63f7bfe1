//! The routing policy of one virtual model.

use std::{sync::Arc, time::Duration};

use super::Exploration;

/// The candidates, defaults and constraints of a virtual model.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The name that clients send as `model`.
    pub name: Arc<str>,
    /// The candidate LLMs.
    pub candidates: Vec<Arc<str>>,
    /// The preference of requests that declare none; none uses the user's profile.
    pub preference: Option<f32>,
    /// The task of requests that declare none.
    pub task: Option<String>,
    /// The fallback order. LLMs that it does not name follow, cheapest first.
    pub fallback: Vec<Arc<str>>,
    /// The constraints on candidates.
    pub constraints: Constraints,
    /// How LLMs are explored; none when off.
    pub exploration: Option<Exploration>,
    /// How much higher another LLM's utility must be before a conversation switches to it.
    pub margin: f32,
    /// How long after its last response a conversation keeps its LLM.
    pub expiry: Duration,
}

/// The constraints on candidates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// USD per million input tokens.
    pub max_input_price: Option<f32>,
    /// USD per million output tokens.
    pub max_output_price: Option<f32>,
    /// Allowed region tags; empty allows all.
    pub regions: Vec<String>,
}
