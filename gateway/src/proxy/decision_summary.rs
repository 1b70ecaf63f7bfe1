//! The parts of a decision that logs, metrics and response headers report.

use std::{sync::Arc, time::Duration};

use crate::decide::Plan;

/// The summary of one decision.
#[derive(Debug, Default)]
pub(super) struct DecisionSummary {
    /// The id of the decision.
    pub(super) id: String,
    /// The virtual model or LLM that the client requested.
    pub(super) requested_model: Arc<str>,
    /// The LLM that is tried first.
    pub(super) chosen: Option<Arc<str>>,
    /// How much the router knows about the user; empty if it was not called.
    pub(super) user_state: &'static str,
    /// The user's signals behind the decision.
    pub(super) signals: usize,
    /// Why the fallback order was used; empty if it was not.
    pub(super) fallback_reason: &'static str,
    /// The duration of the decision.
    pub(super) elapsed: Duration,
}

impl DecisionSummary {
    /// Returns the summary of `plan`.
    pub(super) fn of(plan: &Plan) -> Self {
        let chosen = plan.chosen().map(|chosen| Arc::clone(&chosen.llm));
        Self {
            id: plan.id.clone(),
            requested_model: plan.virtual_model.clone().or_else(|| chosen.clone()).unwrap_or_default(),
            chosen,
            user_state: plan.user_state.map_or("", |state| state.as_str()),
            signals: plan.learned.map_or(0, |learned| learned.signals),
            fallback_reason: plan.fallback_reason.map_or("", |reason| reason.as_str()),
            elapsed: plan.elapsed,
        }
    }
}
