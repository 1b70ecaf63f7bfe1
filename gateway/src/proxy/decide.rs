//! Phase two: gathers the facts, asks the router, and hands both to `crate::decide`.

use std::{sync::Arc, time::Instant};

use personaroute_host::{Candidate, RouteRequest};

use super::{
    Error, Snapshot,
    read::Inbound,
    sessions::{SessionId, Sessions},
};
use crate::{
    api::{Facts, Invalid, Turn, Wire},
    decide::{Degraded, Eligible, Offer, Plan, Policy, Reason, candidates::Demand, eligible},
    routing::Question,
    upstream::{Endpoint, Way},
};

/// Most bytes of a query that are handed to the router: 256 words, which is all it reads, are shorter.
const QUERY_BYTES: usize = 16 << 10;

/// What a routed request asks for, wherever it was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) wire: Wire,
    pub(super) facts: &'a Facts,
    pub(super) user: Option<&'a str>,
    pub(super) task: Option<&'a str>,
    pub(super) preference: Option<f32>,
    pub(super) only: Option<&'a [String]>,
    pub(super) prompt_tokens: u32,
}

/// Decides about a request that names a virtual or a concrete model.
pub(super) async fn decide(snapshot: &Snapshot, sessions: &Sessions, inbound: &Inbound<'_>) -> Result<Plan, Error> {
    let is_going_on = inbound.facts.continues || inbound.overrides.session.is_some();
    let session = is_going_on.then(|| session(sessions, inbound));
    let roster = &snapshot.roster;
    let Some(policy) = roster.policy(&inbound.model) else {
        return concrete(snapshot, inbound);
    };
    let overrides = &inbound.overrides;
    let ask = Ask {
        wire: inbound.wire,
        facts: &inbound.facts,
        user: inbound.user.as_deref(),
        task: overrides.task.as_deref(),
        preference: overrides.preference,
        only: overrides.candidates.as_deref(),
        prompt_tokens: inbound.facts.prompt_tokens(),
    };
    let eligible = candidates(snapshot, policy, ask, || inbound.translation().err().cloned())?;
    let is_candidate = |llm: &Arc<str>| eligible.offers.iter().any(|offer| offer.llm == *llm);
    let held = session.and_then(|id| sessions.llm(id, policy.expiry, Instant::now())).filter(is_candidate);
    if inbound.wire == Wire::Embeddings && eligible.offers.len() > 1 {
        let message = "embeddings of different models do not compare: name one model";
        return Err(Invalid::new("model", message).into());
    }
    if overrides.bypass {
        return Ok(Plan::degraded(decision_id(), policy, eligible, Degraded::Bypass));
    }
    if let (Turn::Tool, Some(llm)) = (inbound.facts.turn, &held) {
        return Ok(Plan::carried_on(decision_id(), policy, eligible, llm));
    }
    let question = question(policy, &eligible.offers, ask);
    let answer = snapshot.routing.route(question).await;
    let mut plan = plan(policy, eligible, answer);
    if let Some(llm) = held {
        plan.keep(&llm, policy.margin);
    }
    Ok(plan)
}

/// Names the conversation a request belongs to: the one the client names, or the one whose opening it carries on.
pub(super) fn session(sessions: &Sessions, inbound: &Inbound<'_>) -> SessionId {
    let thread = inbound.overrides.session.as_deref().unwrap_or(&inbound.facts.opening);
    sessions.name(&inbound.caller.name(), &inbound.model, inbound.user.as_deref(), thread)
}

/// Returns the candidates that can serve `ask`, at least one; `untranslatable` says what keeps the request from
/// upstreams of another format, and is only asked when there are such.
pub(super) fn candidates<'a>(
    snapshot: &'a Snapshot,
    policy: &Policy,
    ask: Ask<'_>,
    untranslatable: impl Fn() -> Option<Invalid>,
) -> Result<Eligible<'a>, Error> {
    let demand = Demand { only: ask.only, ..demand(ask.facts, ask.prompt_tokens) };
    let unspoken = |endpoint: &Endpoint| match endpoint.peer.way(ask.wire) {
        Some(Way::AsItCame) => None,
        Some(Way::Translated) => untranslatable().map(|_| Reason::Untranslatable),
        None => Some(Reason::Wire),
    };
    let place = |endpoint: &'a Arc<Endpoint>| (&endpoint.offer, unspoken(endpoint));
    let eligible = eligible(policy, demand, |llm| Some(snapshot.roster.find(llm)?.endpoints.iter().map(place)));
    if !eligible.offers.is_empty() {
        return Ok(eligible);
    }
    let is_lost = eligible.left_out.iter().any(|left| left.reason == Reason::Untranslatable);
    match untranslatable().filter(|_| is_lost) {
        Some(invalid) => Err(invalid.into()),
        None => Err(Error::NoCandidate(eligible.left_out)),
    }
}

/// Returns what a request with these `facts` asks of any place.
pub(super) fn demand(facts: &Facts, prompt_tokens: u32) -> Demand<'_> {
    Demand { needs: &facts.needs, tokens: prompt_tokens.saturating_add(facts.max_tokens.unwrap_or(0)), only: None }
}

/// Returns what the router is asked.
pub(super) fn question(policy: &Policy, offers: &[&Offer], ask: Ask<'_>) -> Question {
    let text = &ask.facts.text;
    let request = RouteRequest {
        user: ask.user.map(str::to_owned),
        text: text.get(..text.floor_char_boundary(QUERY_BYTES)).unwrap_or_default().to_owned(),
        task: ask.task.map(str::to_owned).or_else(|| policy.task.clone()),
        preference: ask.preference,
        candidates: offers.iter().map(|offer| candidate(offer)).collect(),
        prompt_tokens: ask.prompt_tokens,
        profile: None,
    };
    Question { request, preference: policy.preference }
}

/// Returns the plan that follows from the router's answer, or from its silence.
pub(super) fn plan(
    policy: &Policy,
    eligible: Eligible<'_>,
    answer: Result<personaroute_host::Decision, personaroute_host::RouteError>,
) -> Plan {
    match answer {
        Ok(decision) => {
            let is_usable = decision.ranking.iter().any(|score| score.excluded.is_none());
            if is_usable {
                Plan::routed(decision_id(), policy, eligible, decision)
            } else {
                Plan::degraded(decision_id(), policy, eligible, Degraded::InvalidDecision)
            }
        }
        Err(error) => {
            tracing::warn!(error = %error, reason = error.label(), "the router gave no decision");
            Plan::degraded(decision_id(), policy, eligible, Degraded::from(&error))
        }
    }
}

fn concrete(snapshot: &Snapshot, inbound: &Inbound<'_>) -> Result<Plan, Error> {
    match snapshot.roster.find(&inbound.model) {
        Some(llm) => match llm.way(inbound.wire) {
            Some(Way::AsItCame) => Ok(Plan::concrete(decision_id(), Arc::clone(&llm.id))),
            Some(Way::Translated) => match inbound.translation() {
                Ok(_) => Ok(Plan::concrete(decision_id(), Arc::clone(&llm.id))),
                Err(invalid) => Err(invalid.clone().into()),
            },
            None => Err(Error::WrongFormat(inbound.model.clone())),
        },
        None => Err(Error::UnknownModel(inbound.model.clone())),
    }
}

fn candidate(offer: &Offer) -> Candidate {
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
