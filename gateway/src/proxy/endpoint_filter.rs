//! Filters the endpoints that can serve a request, for sending it and for reserving its cost.

use std::sync::Arc;

use super::{Snapshot, decide, read::ParsedRequest};
use crate::{
    config::Kind,
    decide::{Constraints, Plan, Requirements},
    upstream::{Endpoint, Llm, Protocol},
};

/// The constraints on a request that names an LLM.
static UNCONSTRAINED: Constraints = Constraints { max_input_price: None, max_output_price: None, regions: Vec::new() };

/// The filter of one request.
pub(super) struct EndpointFilter<'a> {
    request: &'a ParsedRequest<'a>,
    requirements: Requirements<'a>,
    constraints: &'a Constraints,
    /// Whether the request names an LLM instead of a virtual model.
    is_named: bool,
}

impl<'a> EndpointFilter<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, request: &'a ParsedRequest<'_>, plan: &Plan) -> Self {
        let policy = plan.virtual_model.as_deref().and_then(|name| snapshot.models.policy(name));
        let requirements = decide::requirements(&request.facts, request.facts.prompt_tokens());
        let constraints = policy.map_or(&UNCONSTRAINED, |policy| &policy.constraints);
        Self { request, requirements, constraints, is_named: policy.is_none() }
    }

    /// Returns the endpoints of `llm` that can serve the request, with their protocol.
    pub(super) fn endpoints<'l>(&self, llm: &'l Llm) -> impl Iterator<Item = (Protocol, &'l Arc<Endpoint>)> {
        let protocol = |endpoint: &Endpoint| {
            endpoint
                .upstream
                .protocol(self.request.wire)
                .filter(|_| self.request.pin().is_none_or(|pin| pin.allows(endpoint, !self.is_named)))
                .filter(|protocol| can_carry(*protocol, endpoint, self.request))
        };
        let fits = |endpoint: &Endpoint| self.requirements.unmet_by(self.constraints, &endpoint.spec).is_none();
        // A named LLM is tried even if no endpoint meets the requirements, so that the client gets the upstream's own error.
        let is_tried_anyway =
            self.is_named && !llm.endpoints.iter().any(|endpoint| protocol(endpoint).is_some() && fits(endpoint));
        let fitting = llm.endpoints.iter().filter(move |endpoint| is_tried_anyway || fits(endpoint));
        fitting.filter_map(move |endpoint| Some((protocol(endpoint)?, endpoint)))
    }
}

/// Returns whether the request can be sent to `endpoint` as it is, or translated.
fn can_carry(protocol: Protocol, endpoint: &Endpoint, request: &ParsedRequest<'_>) -> bool {
    match protocol {
        // Chats carry no reasoning, and the simulated upstream takes any.
        Protocol::Native => endpoint.upstream.config.kind == Kind::Simulated || !request.carries_reasoning(),
        Protocol::Translated(to) => request.translation(to).is_ok(),
    }
}
