//! A decision as JSON, for `/v1/route`, the `x-personaroute-explain` header and the rows of `infer`.

use serde::Serialize;

use super::{Learned, Plan};

/// A decision in the form that clients receive.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// The id of the decision.
    pub id: &'a str,
    /// The LLM that is tried first.
    pub model: Option<&'a str>,
    /// The virtual model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_model: Option<&'a str>,
    /// The LLMs to try, best first.
    pub ranking: Vec<RankedEntry<'a>>,
    /// The candidates that cannot serve the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedEntry<'a>>,
    /// How much the router knew about the user.
    pub user_state: Option<&'static str>,
    /// The task.
    pub task: Option<Task<'a>>,
    /// The reason for the decision, in one sentence.
    pub why: &'a str,
    /// Whether the conversation kept its LLM (stickiness).
    pub kept: bool,
    /// How the LLM was explored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explored: Option<&'static str>,
    /// What the user's signals have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<&'a Learned>,
    /// Why the fallback order was used.
    pub fallback: Option<&'static str>,
    /// The duration of the decision in microseconds.
    pub elapsed_us: u128,
}

/// One ranked candidate.
#[derive(Debug, Serialize)]
pub struct RankedEntry<'a> {
    /// The LLM.
    pub llm: &'a str,
    /// Predicted utility for this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility: Option<f32>,
    /// Predicted effect (quality).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<f32>,
    /// Predicted cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f32>,
    /// Standard deviation of the predicted utility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f32>,
}

/// A candidate that cannot serve the request.
#[derive(Debug, Serialize)]
pub struct ExcludedEntry<'a> {
    /// The LLM.
    pub llm: &'a str,
    /// The reason.
    pub reason: &'static str,
}

/// The declared or predicted task of a query.
#[derive(Debug, Serialize)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

/// Returns the explanation of `plan`, with at most `most` candidates.
pub fn explain(plan: &Plan, most: usize) -> Explanation<'_> {
    Explanation {
        id: &plan.id,
        model: plan.chosen().map(|ranked| &*ranked.llm),
        virtual_model: plan.virtual_model.as_deref(),
        ranking: plan.ranking.iter().take(most).map(entry).collect(),
        excluded: plan
            .excluded
            .iter()
            .take(most)
            .map(|left| ExcludedEntry { llm: &left.llm, reason: left.reason.as_str() })
            .collect(),
        user_state: plan.user_state.map(|state| state.as_str()),
        task: plan.task.as_ref().map(|task| Task { name: &task.task, probability: task.probability }),
        why: &plan.why,
        kept: plan.kept,
        explored: plan.explored.map(super::Explore::as_str),
        learned: plan.learned.as_ref(),
        fallback: plan.fallback_reason.map(super::FallbackReason::as_str),
        elapsed_us: plan.elapsed.as_micros(),
    }
}

fn entry(ranked: &super::Ranked) -> RankedEntry<'_> {
    let score = ranked.score.as_ref();
    RankedEntry {
        llm: &ranked.llm,
        utility: score.map(|score| score.utility),
        effect: score.map(|score| score.effect),
        cost: score.map(|score| score.cost),
        uncertainty: score.map(|score| score.uncertainty),
    }
}
