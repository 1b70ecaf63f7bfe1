//! Admits a request within the quotas of its key and user, and reserves its estimated cost before it is sent.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{Error, Snapshot, billing::price, endpoint_filter::EndpointFilter, identify::Caller, read::ParsedRequest};
use crate::{
    api::{Usage, Wire},
    config::{Auth, Quota},
    decide::Plan,
    state::{Cost, Ledger, QuotaLease},
};

/// Admits the request on the accounts of its key and user; none if neither has limits.
pub(super) fn try_admit(
    ledger: &Arc<Ledger>,
    auth: &Auth,
    request: &ParsedRequest<'_>,
) -> Result<Option<QuotaLease>, Error> {
    let quota_accounts = request.caller.quota_accounts(auth, request.user.as_deref());
    try_admit_accounts(ledger, quota_accounts)
}

/// Admits a decision without a call on the account of its key only: it may be about any number of users.
pub(super) fn try_admit_route_request(
    ledger: &Arc<Ledger>,
    auth: &Auth,
    caller: &Caller,
) -> Result<Option<QuotaLease>, Error> {
    try_admit_accounts(ledger, caller.quota_accounts(auth, None))
}

fn try_admit_accounts(ledger: &Ledger, quota_accounts: Vec<(String, Quota)>) -> Result<Option<QuotaLease>, Error> {
    if quota_accounts.is_empty() {
        return Ok(None);
    }
    ledger.try_admit(quota_accounts, Instant::now()).map(Some).map_err(Error::LimitReached)
}

/// Reserves what the request may cost at the most expensive LLM that may answer it.
pub(super) async fn reserve(
    mut lease: QuotaLease,
    snapshot: &Snapshot,
    request: &ParsedRequest<'_>,
    plan: &Plan,
) -> Result<QuotaLease, Error> {
    let facts = &request.facts;
    let assumed = if request.wire == Wire::Embeddings { 0 } else { snapshot.config.limits.assumed_output };
    let usage = Usage { input: u64::from(facts.prompt_tokens()), cached: 0, output: facts.output_tokens(assumed) };
    // Every endpoint counts: skipping an open circuit uses no attempt, so even the last one may serve the request.
    let filter = EndpointFilter::of(snapshot, request, plan);
    let llms = plan.ranking.iter().filter_map(|ranked| snapshot.models.find(&ranked.llm));
    let endpoints = llms.flat_map(|llm| filter.endpoints(llm));
    let highest = endpoints.map(|(_, endpoint)| price(usage, &endpoint.spec)).fold(0.0, f64::max);
    let cost = Cost { tokens: usage.input.saturating_add(usage.output), usd: highest };
    lease.reserve(cost, Instant::now(), SystemTime::now()).await.map_err(Error::LimitReached)?;
    Ok(lease)
}
