//! Which places can serve a request: those that are asked, and whose prices are set aside.

use std::sync::Arc;

use super::{Snapshot, decide, read::Inbound};
use crate::{
    decide::{Constraints, Demand, Plan},
    upstream::{Endpoint, Llm, Way},
};

/// What a request that names its LLM asks of a place.
static NOTHING: Constraints = Constraints { max_input_price: None, max_output_price: None, regions: Vec::new() };

/// Which places can serve a request.
pub(super) struct Fit<'a> {
    inbound: &'a Inbound<'a>,
    demand: Demand<'a>,
    constraints: &'a Constraints,
    /// The request names its LLM.
    is_named: bool,
}

impl<'a> Fit<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, inbound: &'a Inbound<'_>, plan: &Plan) -> Self {
        let policy = plan.virtual_model.as_deref().and_then(|name| snapshot.roster.policy(name));
        let demand = decide::demand(&inbound.facts, inbound.facts.prompt_tokens());
        let constraints = policy.map_or(&NOTHING, |policy| &policy.constraints);
        Self { inbound, demand, constraints, is_named: policy.is_none() }
    }

    /// Returns the places of `llm` that can serve the request, and how.
    pub(super) fn places<'l>(&self, llm: &'l Llm) -> impl Iterator<Item = (Way, &'l Arc<Endpoint>)> {
        let way =
            |endpoint: &Endpoint| endpoint.peer.way(self.inbound.wire).filter(|way| is_sayable(*way, self.inbound));
        let fits = |endpoint: &Endpoint| self.demand.obstacle(self.constraints, &endpoint.offer).is_none();
        // Who names an LLM gets it, and its upstream's own word when the request is too much for every place.
        let is_asked_anyway =
            self.is_named && !llm.endpoints.iter().any(|endpoint| way(endpoint).is_some() && fits(endpoint));
        let fitting = llm.endpoints.iter().filter(move |endpoint| is_asked_anyway || fits(endpoint));
        fitting.filter_map(move |endpoint| Some((way(endpoint)?, endpoint)))
    }
}

fn is_sayable(way: Way, inbound: &Inbound<'_>) -> bool {
    way == Way::AsItCame || inbound.translation().is_ok()
}
