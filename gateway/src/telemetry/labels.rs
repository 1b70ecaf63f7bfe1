//! Labels of metrics: typed, with few values each.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// Finished requests by API, requested model, and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) route: &'static str,
    pub(super) model: Arc<str>,
    pub(super) outcome: &'static str,
}

/// Responses by LLM and by what is known of the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ChoiceLabels {
    pub(super) model: Arc<str>,
    pub(super) user_state: &'static str,
}

/// Failed attempts by LLM and reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FailureLabels {
    pub(super) model: String,
    pub(super) reason: String,
}

/// Decisions made in the fallback order, or handshakes that failed, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

/// Reloads, hedges, or spans, by outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) outcome: &'static str,
}

/// Health by upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    pub(super) upstream: String,
}
