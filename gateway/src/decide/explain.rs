//! A decision as JSON: for `/v1/route`, for the explaining header and for result rows.

use serde::Serialize;

use super::Plan;

/// A decision as clients read it.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Names the decision.
    pub id: &'a str,
    /// The LLM that is tried first.
    pub model: Option<&'a str>,
    /// The virtual model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_model: Option<&'a str>,
    /// Who is tried, best first.
    pub ranking: Vec<RankedEntry<'a>>,
    /// Who cannot serve the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedEntry<'a>>,
    /// How much the router knew about the user.
    pub user_state: Option<&'static str>,
    /// The task.
    pub task: Option<Task<'a>>,
    /// One sentence for people.
    pub why: &'a str,
    /// Whether the conversation kept its LLM.
    pub kept: bool,
    /// Why the fallback order was used.
    pub fallback: Option<&'static str>,
    /// Time of the decision in microseconds.
    pub elapsed_us: u128,
}

/// One candidate's place.
#[derive(Debug, Serialize)]
pub struct RankedEntry<'a> {
    /// The LLM.
    pub llm: &'a str,
    /// Expected reward for this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility: Option<f32>,
    /// Expected quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<f32>,
    /// Expected cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f32>,
    /// Standard deviation of the expected reward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f32>,
}

/// A candidate that cannot serve the request.
#[derive(Debug, Serialize)]
pub struct ExcludedEntry<'a> {
    /// The LLM.
    pub llm: &'a str,
    /// Why.
    pub reason: &'static str,
}

/// The task a query was taken for.
#[derive(Debug, Serialize)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// 0 to 1.
    pub probability: f32,
}

/// Returns `plan` as clients read it, with the best `most` candidates.
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
