//! Phase two: gathers the facts, asks the router, and hands both to `crate::decide`.

use std::{sync::Arc, time::Instant};

use personaroute_host::{Candidate, RouteRequest};

use super::{
    Error, Snapshot,
    read::ParsedRequest,
    sessions::{SessionId, Sessions},
};
use crate::{
    api::{Facts, Invalid, LastMessage, Wire},
    decide::{Eligible, ExclusionReason, FallbackReason, ModelSpec, Plan, Policy, candidates::Requirements, eligible},
    routing::RouteJob,
    upstream::{Endpoint, Protocol},
};

/// Most bytes of a query that are handed to the router: 256 words, which is all it reads, are shorter.
const QUERY_BYTES: usize = 16 << 10;

/// What a routed request asks for, wherever it was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoutingInput<'a> {
    pub(super) wire: Wire,
    pub(super) facts: &'a Facts,
    pub(super) user: Option<&'a str>,
    pub(super) task: Option<&'a str>,
    pub(super) preference: Option<f32>,
    pub(super) only: Option<&'a [String]>,
    pub(super) prompt_tokens: u32,
}

/// Decides about a request that names a virtual or a concrete model.
pub(super) async fn decide(
    snapshot: &Snapshot,
    sessions: &Sessions,
    request: &ParsedRequest<'_>,
) -> Result<Plan, Error> {
    let is_continuation = request.facts.continues || request.overrides.session.is_some();
    let session = is_continuation.then(|| session(sessions, request));
    let models = &snapshot.models;
    let Some(policy) = models.policy(&request.model) else {
        return concrete(snapshot, request);
    };
    let overrides = &request.overrides;
    let input = RoutingInput {
        wire: request.wire,
        facts: &request.facts,
        user: request.user.as_deref(),
        task: overrides.task.as_deref(),
        preference: overrides.preference,
        only: overrides.candidates.as_deref(),
        prompt_tokens: request.facts.prompt_tokens(),
    };
    let eligible = candidates(snapshot, policy, input, || request.translation().err().cloned())?;
    let is_candidate = |llm: &Arc<str>| eligible.specs.iter().any(|offer| offer.llm == *llm);
    let sticky_llm = session.and_then(|id| sessions.llm(id, policy.expiry, Instant::now())).filter(is_candidate);
    if request.wire == Wire::Embeddings && eligible.specs.len() > 1 {
        let message = "embeddings of different models do not compare: name one model";
        return Err(Invalid::new("model", message).into());
    }
    if overrides.bypass {
        return Ok(Plan::fallback(decision_id(), policy, eligible, FallbackReason::Bypass));
    }
    if let (LastMessage::Tool, Some(llm)) = (request.facts.last_message, &sticky_llm) {
        return Ok(Plan::continued(decision_id(), policy, eligible, llm));
    }
    let job = route_job(policy, &eligible.specs, input);
    let result = snapshot.routing.route(job).await;
    let mut plan = plan(policy, eligible, result);
    if let Some(llm) = sticky_llm {
        plan.apply_stickiness(&llm, policy.margin);
    }
    Ok(plan)
}

/// Names the conversation a request belongs to: the one the client names, or the one whose opening it carries on.
pub(super) fn session(sessions: &Sessions, request: &ParsedRequest<'_>) -> SessionId {
    let thread = request.overrides.session.as_deref().unwrap_or(&request.facts.opening);
    sessions.id(&request.caller.name(), &request.model, request.user.as_deref(), thread)
}

/// Returns the candidates that can serve `input`, at least one; `untranslatable` says what keeps the request from
/// upstreams of another format, and is only asked when there are such.
pub(super) fn candidates<'a>(
    snapshot: &'a Snapshot,
    policy: &Policy,
    input: RoutingInput<'_>,
    untranslatable: impl Fn() -> Option<Invalid>,
) -> Result<Eligible<'a>, Error> {
    let requirements = Requirements { only: input.only, ..requirements(input.facts, input.prompt_tokens) };
    let format_obstacle = |endpoint: &Endpoint| match endpoint.upstream.protocol(input.wire) {
        Some(Protocol::Native) => None,
        Some(Protocol::Translated) => untranslatable().map(|_| ExclusionReason::Untranslatable),
        None => Some(ExclusionReason::Wire),
    };
    let endpoint_spec = |endpoint: &'a Arc<Endpoint>| (&endpoint.spec, format_obstacle(endpoint));
    let eligible =
        eligible(policy, requirements, |llm| Some(snapshot.models.find(llm)?.endpoints.iter().map(endpoint_spec)));
    if !eligible.specs.is_empty() {
        return Ok(eligible);
    }
    let is_lost = eligible.excluded.iter().any(|left| left.reason == ExclusionReason::Untranslatable);
    match untranslatable().filter(|_| is_lost) {
        Some(invalid) => Err(invalid.into()),
        None => Err(Error::NoCandidate(eligible.excluded)),
    }
}

/// Returns what a request with these `facts` asks of any endpoint.
pub(super) fn requirements(facts: &Facts, prompt_tokens: u32) -> Requirements<'_> {
    Requirements {
        needs: &facts.needs,
        tokens: prompt_tokens.saturating_add(facts.max_tokens.unwrap_or(0)),
        only: None,
    }
}

/// Returns what the router is asked.
pub(super) fn route_job(policy: &Policy, specs: &[&ModelSpec], input: RoutingInput<'_>) -> RouteJob {
    let text = &input.facts.text;
    let request = RouteRequest {
        user: input.user.map(str::to_owned),
        text: text.get(..text.floor_char_boundary(QUERY_BYTES)).unwrap_or_default().to_owned(),
        task: input.task.map(str::to_owned).or_else(|| policy.task.clone()),
        preference: input.preference,
        candidates: specs.iter().map(|offer| candidate(offer)).collect(),
        prompt_tokens: input.prompt_tokens,
        profile: None,
    };
    RouteJob { request, preference: policy.preference }
}

/// Returns the plan that follows from the router's result, or from its lack.
pub(super) fn plan(
    policy: &Policy,
    eligible: Eligible<'_>,
    result: Result<personaroute_host::Decision, personaroute_host::RouteError>,
) -> Plan {
    match result {
        Ok(decision) => {
            let is_usable = decision.ranking.iter().any(|score| score.excluded.is_none());
            if is_usable {
                Plan::routed(decision_id(), policy, eligible, decision)
            } else {
                Plan::fallback(decision_id(), policy, eligible, FallbackReason::InvalidDecision)
            }
        }
        Err(error) => {
            tracing::warn!(error = %error, reason = error.label(), "the router gave no decision");
            Plan::fallback(decision_id(), policy, eligible, FallbackReason::from(&error))
        }
    }
}

fn concrete(snapshot: &Snapshot, request: &ParsedRequest<'_>) -> Result<Plan, Error> {
    match snapshot.models.find(&request.model) {
        Some(llm) => match llm.protocol(request.wire) {
            Some(Protocol::Native) => Ok(Plan::concrete(decision_id(), Arc::clone(&llm.id))),
            Some(Protocol::Translated) => match request.translation() {
                Ok(_) => Ok(Plan::concrete(decision_id(), Arc::clone(&llm.id))),
                Err(invalid) => Err(invalid.clone().into()),
            },
            None => Err(Error::WrongFormat(request.model.clone())),
        },
        None => Err(Error::UnknownModel(request.model.clone())),
    }
}

fn candidate(offer: &ModelSpec) -> Candidate {
    Candidate {
        llm: Arc::clone(&offer.llm),
        input_price: offer.input_price,
        output_price: offer.output_price,
        context_window: offer.context_window,
    }
}

fn decision_id() -> String {
    format!("dec_{:032x}", rand::random::<u128>())
}
