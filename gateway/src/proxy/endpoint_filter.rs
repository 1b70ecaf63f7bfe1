//! Which places can serve a request: those that are asked, and whose prices are set aside.

use std::sync::Arc;

use super::{Snapshot, decide, read::ParsedRequest};
use crate::{
    decide::{Constraints, Plan, Requirements},
    upstream::{Endpoint, Llm, Protocol},
};

/// What a request that names its LLM asks of a place.
static NOTHING: Constraints = Constraints { max_input_price: None, max_output_price: None, regions: Vec::new() };

/// Which places can serve a request.
pub(super) struct EndpointFilter<'a> {
    request: &'a ParsedRequest<'a>,
    requirements: Requirements<'a>,
    constraints: &'a Constraints,
    /// The request names its LLM.
    is_named: bool,
}

impl<'a> EndpointFilter<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, request: &'a ParsedRequest<'_>, plan: &Plan) -> Self {
        let policy = plan.virtual_model.as_deref().and_then(|name| snapshot.models.policy(name));
        let requirements = decide::requirements(&request.facts, request.facts.prompt_tokens());
        let constraints = policy.map_or(&NOTHING, |policy| &policy.constraints);
        Self { request, requirements, constraints, is_named: policy.is_none() }
    }

    /// Returns the places of `llm` that can serve the request, and how.
    pub(super) fn endpoints<'l>(&self, llm: &'l Llm) -> impl Iterator<Item = (Protocol, &'l Arc<Endpoint>)> {
        let protocol = |endpoint: &Endpoint| {
            endpoint.upstream.protocol(self.request.wire).filter(|protocol| is_sayable(*protocol, self.request))
        };
        let fits = |endpoint: &Endpoint| self.requirements.unmet_by(self.constraints, &endpoint.spec).is_none();
        // Who names an LLM gets it, and its upstream's own word when the request is too much for every place.
        let is_asked_anyway =
            self.is_named && !llm.endpoints.iter().any(|endpoint| protocol(endpoint).is_some() && fits(endpoint));
        let fitting = llm.endpoints.iter().filter(move |endpoint| is_asked_anyway || fits(endpoint));
        fitting.filter_map(move |endpoint| Some((protocol(endpoint)?, endpoint)))
    }
}

fn is_sayable(protocol: Protocol, request: &ParsedRequest<'_>) -> bool {
    protocol == Protocol::Native || request.translation().is_ok()
}
