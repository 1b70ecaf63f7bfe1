//! What a request may use: refused before it costs anything, set aside before it is sent.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{Error, Snapshot, finish::usd, fit::Fit, identify::Caller, read::Inbound};
use crate::{
    api::{Usage, Wire},
    config::{Auth, Quota},
    decide::Plan,
    state::{Ledger, Need, Ticket},
};

/// Admits the request on the accounts of its key and user; none where neither has limits.
pub(super) fn enter(ledger: &Arc<Ledger>, auth: &Auth, inbound: &Inbound<'_>) -> Result<Option<Ticket>, Error> {
    let holders = inbound.caller.holders(auth, inbound.user.as_deref());
    enter_on(ledger, holders)
}

/// Admits a decision without a call, which only the key pays for: it may be about any number of users.
pub(super) fn enter_decision(ledger: &Arc<Ledger>, auth: &Auth, caller: &Caller) -> Result<Option<Ticket>, Error> {
    enter_on(ledger, caller.holders(auth, None))
}

fn enter_on(ledger: &Ledger, holders: Vec<(String, Quota)>) -> Result<Option<Ticket>, Error> {
    if holders.is_empty() {
        return Ok(None);
    }
    ledger.enter(holders, Instant::now()).map(Some).map_err(Error::Limited)
}

/// Sets aside what the request may cost at the dearest LLM that may come to answer it.
pub(super) async fn reserve(
    mut ticket: Ticket,
    snapshot: &Snapshot,
    inbound: &Inbound<'_>,
    plan: &Plan,
) -> Result<Ticket, Error> {
    let facts = &inbound.facts;
    let assumed = if inbound.wire == Wire::Embeddings { 0 } else { snapshot.config.limits.assumed_output };
    let usage = Usage { input: u64::from(facts.prompt_tokens()), cached: 0, output: facts.output_tokens(assumed) };
    // All of them: who is passed over because it cools down uses up no attempt, so that even the last may come to answer.
    let fit = Fit::of(snapshot, inbound, plan);
    let llms = plan.ranking.iter().filter_map(|ranked| snapshot.roster.find(&ranked.llm));
    let places = llms.flat_map(|llm| fit.places(llm));
    let dearest = places.map(|(_, place)| usd(usage, &place.offer)).fold(0.0, f64::max);
    let need = Need { tokens: usage.input.saturating_add(usage.output), usd: dearest };
    ticket.reserve(need, Instant::now(), SystemTime::now()).await.map_err(Error::Limited)?;
    Ok(ticket)
}
