//! The decide phase: gathers the facts, calls the router, and builds the plan with `crate::decide`.

use std::{cell::OnceCell, sync::Arc, time::Instant};

use personaroute_host::{Candidate, RouteRequest};

use super::{
    Error, Snapshot, knowledge,
    knowledge::Knowledge,
    log_excerpt::log_excerpt,
    read::ParsedRequest,
    response_memory::Pin,
    sessions::{SessionId, Sessions},
};
use crate::{
    api::{Facts, Invalid, LastMessage, Wire, translate::Format},
    decide::{
        Eligible, ExcludedCandidate, ExclusionReason, FallbackReason, ModelSpec, Plan, Policy,
        candidates::Requirements, eligible,
    },
    routing::RouteJob,
    upstream::{Endpoint, Protocol},
};

/// Most bytes of the query passed to the router, which reads at most 256 words.
const QUERY_BYTES: usize = 16 << 10;

/// The input of a decision, from a request or from `/v1/route`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoutingInput<'a> {
    pub(super) wire: Wire,
    pub(super) facts: &'a Facts,
    pub(super) user: Option<&'a str>,
    pub(super) task: Option<&'a str>,
    pub(super) preference: Option<f32>,
    pub(super) only: Option<&'a [String]>,
    pub(super) prompt_tokens: u32,
    /// The endpoint to which the request belongs.
    pub(super) pin: Option<&'a Pin>,
}

/// Decides on a request for a virtual model or an LLM.
pub(super) async fn decide(
    snapshot: &Snapshot,
    sessions: &Sessions,
    request: &ParsedRequest<'_>,
    knowledge: &Knowledge,
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
        pin: request.pin(),
    };
    let eligible = candidates(snapshot, policy, input, |to| request.translation(to).err().cloned())?;
    let is_candidate = |llm: &Arc<str>| eligible.specs.iter().any(|spec| spec.llm == *llm);
    let last_llm = session.and_then(|id| sessions.llm(id, policy.expiry, Instant::now()));
    let sticky_llm = request.resolved.caller_llm.clone().or(last_llm).filter(is_candidate);
    if request.wire == Wire::Embeddings && eligible.specs.len() > 1 {
        let message = "embeddings of different models are not comparable: name one model";
        return Err(Invalid::new("model", message).into());
    }
    if overrides.bypass {
        return Ok(Plan::fallback(decision_id(), policy, eligible, FallbackReason::Bypass));
    }
    if let (LastMessage::Tool, Some(llm)) = (request.facts.last_message, &sticky_llm) {
        return Ok(Plan::continued(decision_id(), policy, eligible, llm));
    }
    let job = knowledge.applied(route_job(policy, &eligible.specs, input));
    let result = snapshot.routing.route(job).await;
    let mut plan = plan(policy, eligible, result);
    plan.learned = knowledge.learned();
    if let Some(llm) = sticky_llm {
        plan.apply_stickiness(&llm, policy.margin);
    }
    if !plan.kept {
        knowledge::explore(policy, &mut plan);
    }
    Ok(plan)
}

/// Returns the id of the conversation: from the session header, or else from the opening of the conversation.
pub(super) fn session(sessions: &Sessions, request: &ParsedRequest<'_>) -> SessionId {
    let thread = request.overrides.session.as_deref().unwrap_or(&request.facts.opening);
    sessions.id(&request.caller.name(), &request.model, request.user.as_deref(), thread)
}

/// Returns the candidates that can serve `input`, at least one. `untranslatable` returns why the request cannot be
/// translated into a format; it is called only if an upstream of that format is a candidate.
pub(super) fn candidates<'a>(
    snapshot: &'a Snapshot,
    policy: &Policy,
    input: RoutingInput<'_>,
    untranslatable: impl Fn(Format) -> Option<Invalid>,
) -> Result<Eligible<'a>, Error> {
    let requirements = Requirements { only: input.only, ..requirements(input.facts, input.prompt_tokens) };
    let refusal = OnceCell::new();
    let format_obstacle = |endpoint: &Endpoint| match endpoint.upstream.protocol(input.wire) {
        _ if input.pin.is_some_and(|pin| !pin.allows(endpoint, true)) => Some(ExclusionReason::OtherEndpoint),
        Some(Protocol::Native) => None,
        Some(Protocol::Translated(to)) => untranslatable(to).map(|invalid| {
            refusal.get_or_init(|| invalid);
            ExclusionReason::Untranslatable
        }),
        None => Some(ExclusionReason::Wire),
    };
    let endpoint_spec = |endpoint: &'a Arc<Endpoint>| (&endpoint.spec, format_obstacle(endpoint));
    let eligible =
        eligible(policy, requirements, |llm| Some(snapshot.models.find(llm)?.endpoints.iter().map(endpoint_spec)));
    if !eligible.specs.is_empty() {
        return Ok(eligible);
    }
    if let Some(pin) = input.pin {
        let is_elsewhere = |reason| matches!(reason, ExclusionReason::OtherEndpoint | ExclusionReason::NotRequested);
        let is_about_request = |left: &ExcludedCandidate| left.llm == pin.maker.llm && !is_elsewhere(left.reason);
        if !eligible.excluded.iter().any(is_about_request) {
            return Err(pin.refusal().into());
        }
    }
    let is_untranslatable = eligible.excluded.iter().any(|left| left.reason == ExclusionReason::Untranslatable);
    match refusal.into_inner().filter(|_| is_untranslatable) {
        Some(invalid) => Err(invalid.into()),
        None => Err(Error::NoCandidate(eligible.excluded)),
    }
}

/// Returns the requirements of a request with these `facts`.
pub(super) fn requirements(facts: &Facts, prompt_tokens: u32) -> Requirements<'_> {
    Requirements {
        needs: &facts.needs,
        tokens: prompt_tokens.saturating_add(facts.max_tokens.unwrap_or(0)),
        only: None,
    }
}

/// Returns the job for the router.
pub(super) fn route_job(policy: &Policy, specs: &[&ModelSpec], input: RoutingInput<'_>) -> RouteJob {
    let text = &input.facts.text;
    let request = RouteRequest {
        user: input.user.map(str::to_owned),
        text: text.get(..text.floor_char_boundary(QUERY_BYTES)).unwrap_or_default().to_owned(),
        task: input.task.map(str::to_owned).or_else(|| policy.task.clone()),
        preference: input.preference,
        candidates: specs.iter().map(|spec| candidate(spec)).collect(),
        prompt_tokens: input.prompt_tokens,
        profile: None,
    };
    RouteJob { request, preference: policy.preference }
}

/// Returns the plan for the router's result, in the fallback order if it failed.
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
            let excerpt = log_excerpt(&error.to_string());
            tracing::warn!(
                error = excerpt,
                reason = error.label(),
                "the router made no decision, the fallback order is used"
            );
            Plan::fallback(decision_id(), policy, eligible, FallbackReason::from(&error))
        }
    }
}

fn concrete(snapshot: &Snapshot, request: &ParsedRequest<'_>) -> Result<Plan, Error> {
    let Some(llm) = snapshot.models.find(&request.model) else {
        return Err(Error::UnknownModel(request.model.clone()));
    };
    let mut refusal = None;
    let is_allowed = |endpoint: &&Arc<Endpoint>| request.pin().is_none_or(|pin| pin.allows(endpoint, false));
    let allowed = llm.endpoints.iter().filter(is_allowed);
    for protocol in allowed.filter_map(|endpoint| endpoint.upstream.protocol(request.wire)) {
        let refused = match protocol {
            Protocol::Native => None,
            Protocol::Translated(to) => request.translation(to).err(),
        };
        match refused {
            None => return Ok(Plan::concrete(decision_id(), Arc::clone(&llm.id))),
            Some(invalid) => refusal = refusal.or(Some(invalid)),
        }
    }
    match (refusal, request.pin()) {
        (Some(invalid), _) => Err(invalid.clone().into()),
        (None, Some(pin)) => Err(pin.refusal().into()),
        (None, None) => Err(Error::WrongFormat(request.model.clone())),
    }
}

fn candidate(spec: &ModelSpec) -> Candidate {
    Candidate {
        llm: Arc::clone(&spec.llm),
        input_price: spec.input_price,
        output_price: spec.output_price,
        context_window: spec.context_window,
    }
}

fn decision_id() -> String {
    format!("dec_{:032x}", rand::random::<u128>())
}
