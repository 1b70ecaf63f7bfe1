//! What is kept: decisions, signals, and what a user has declared. None of it contains the text of a request.

use serde::{Deserialize, Serialize};

use crate::{
    api::feedback::{Kind, Said},
    routing::QueryFeatures,
};

/// A routed decision, as what can be scored again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The decision's id.
    pub id: String,
    /// The user.
    pub user: String,
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    /// What it was about.
    pub origin: Origin,
    /// The candidates that could have answered, with their scores, best first.
    pub candidates: Vec<Candidate>,
}

/// The request that an answer is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The virtual model; empty for an answer of which the gateway knows nothing.
    pub model: String,
    /// The LLM that answered; empty if the signal alone names LLMs.
    pub llm: String,
    /// The declared or likeliest task.
    pub task: Option<TaskGuess>,
    /// The features of the query, as the bundle's text encoder computes them.
    pub features: Option<QueryFeatures>,
    /// The probability with which the LLM was chosen; none if it was not chosen by the router.
    pub propensity: Option<f32>,
    /// How the LLM was explored.
    pub explored: Option<String>,
    /// The version of the bundle that decided.
    pub bundle: String,
}

/// A task with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskGuess {
    /// The task's name.
    pub name: String,
    /// From 0 to 1; 1 for a declared task.
    pub probability: f32,
}

/// A candidate of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The LLM.
    pub llm: String,
    /// Its scores; none if the router was not called.
    pub scores: Option<Scores>,
}

/// The scores of a candidate, as the router predicted them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Expected utility for the user.
    pub utility: f32,
    /// Expected effect.
    pub effect: f32,
    /// Expected cost.
    pub cost: f32,
    /// Standard deviation of the utility.
    pub uncertainty: f32,
}

/// What a user has said about an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The decision's id, or an id that starts with `fb_` for an answer without one.
    pub decision: String,
    /// What was said.
    pub said: Said,
    /// When it was said, in milliseconds since 1970.
    pub at: u64,
    /// When it arrived, in milliseconds since 1970.
    pub received: u64,
    /// What the answer was about.
    pub origin: Origin,
}

impl Signal {
    /// Returns the kind: each counts once for a decision.
    pub fn kind(&self) -> Kind {
        self.said.kind()
    }
}

/// The preference that a user has declared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Weight of effect against cost, from 0 to 1.
    pub preference: f32,
    /// When it was declared, in milliseconds since 1970.
    pub at: u64,
}

/// Everything that is known of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserData {
    /// The declared preference.
    pub declared: Option<Declared>,
    /// The signals, oldest first.
    pub signals: Vec<Signal>,
    /// The decisions, oldest first.
    pub decisions: Vec<Decision>,
}

/// A signal with its user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// The user.
    pub user: String,
    /// What the user said.
    pub signal: Signal,
}

/// Some interactions, and where the next ones start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows, oldest first.
    pub rows: Vec<T>,
    /// The cursor of the next page; none after the last one.
    pub next: Option<String>,
}
