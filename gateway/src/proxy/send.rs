//! Phase three: down the ranking until an upstream begins to answer.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, response};
use http_body_util::BodyExt;
use hyper::body::Frame;

use super::{
    Error, Snapshot,
    finish::Record,
    headers::{self, Credentials},
    read::Inbound,
    retry,
};
use crate::{
    decide::{Capability, Offer, Plan},
    upstream::{Body, Call, Endpoint, Failure, Gate, InFlight, Offered, Way},
};

/// An answer that has begun.
pub(super) struct Opened {
    /// Status and headers.
    pub(super) head: response::Parts,
    /// The first frame, when there is any.
    pub(super) first: Option<Frame<Bytes>>,
    /// The rest.
    pub(super) body: Body,
    /// The place it is answered from.
    pub(super) seat: Seat,
}

/// A request's place at an endpoint until its answer ends.
pub(super) struct Seat {
    endpoint: Endpoint,
    _in_flight: InFlight,
}

impl Seat {
    /// Notes that the answer broke off.
    pub(super) fn broke(&self) {
        self.endpoint.peer.breaker.failed(Instant::now());
    }
}

/// One place that may answer.
struct Target<'a> {
    offer: &'a Offer,
    endpoint: &'a Endpoint,
    way: Way,
}

/// What every attempt of a request shares.
struct Sender<'a> {
    snapshot: &'a Snapshot,
    inbound: &'a Inbound<'a>,
    plan: &'a Plan,
    headers: HeaderMap,
    attempts: usize,
    refused: Option<Opened>,
    failure: Option<Failure>,
    /// The shortest wait for an endpoint that was passed over.
    shut: Option<Duration>,
}

/// Tries the plan's LLMs, best first, until one begins to answer.
///
/// # Errors
///
/// Fails when none answers. An upstream's own error reply is an answer: the last one goes to the client as it is.
pub(super) async fn send(
    snapshot: &Snapshot,
    inbound: &Inbound<'_>,
    plan: &Plan,
    record: &mut Record,
) -> Result<Opened, Error> {
    snapshot.retries.earn();
    let credentials = if inbound.caller.is_identified() { Credentials::Gateways } else { Credentials::Upstreams };
    let mut sender = Sender {
        snapshot,
        inbound,
        plan,
        headers: headers::outbound(inbound.headers, credentials),
        attempts: 0,
        refused: None,
        failure: None,
        shut: None,
    };
    for round in 0..snapshot.config.retry.rounds {
        if round > 0 && !sender.wait(round).await {
            break;
        }
        if let Some(opened) = sender.walk(record).await {
            return Ok(opened);
        }
    }
    // A reply says more than a broken connection, and carries `retry-after`.
    match (sender.refused, sender.failure, sender.shut) {
        (Some(opened), _, _) => {
            record.refused_by_upstream(&opened);
            Ok(opened)
        }
        (None, Some(failure), _) => Err(Error::Upstream(failure)),
        (None, None, Some(wait)) => Err(Error::Cooling { wait }),
        (None, None, None) => Err(Error::Upstream(Failure::Unsupported)),
    }
}

impl Sender<'_> {
    /// Walks the ranking once.
    async fn walk(&mut self, record: &mut Record) -> Option<Opened> {
        self.shut = None;
        for target in targets(self.snapshot, self.inbound, self.plan) {
            let is_retry = self.attempts > 0;
            let is_over = self.attempts >= self.snapshot.config.retry.attempts;
            if is_over || (is_retry && !self.snapshot.retries.spend()) {
                return None;
            }
            if let Gate::Shut(wait) = target.endpoint.enter(Instant::now()) {
                self.shut = Some(self.shut.map_or(wait, |shortest| shortest.min(wait)));
                record.passed_over(&target.offer.llm);
                continue;
            }
            self.attempts += 1;
            if let Some(opened) = self.try_target(&target, record).await {
                return Some(opened);
            }
        }
        None
    }

    /// Makes one attempt; keeps its failure when it fails.
    async fn try_target(&mut self, target: &Target<'_>, record: &mut Record) -> Option<Opened> {
        let started = Instant::now();
        if let Some(parent) = record.trying(target.offer, target.endpoint) {
            self.headers.insert("traceparent", parent);
        }
        let reason = match self.attempt(target).await {
            Ok(opened) => {
                note_answer(target.endpoint, &opened.head, started);
                if !self.snapshot.config.retry.statuses.contains(&opened.head.status.as_u16()) {
                    record.answered(&opened, started.elapsed());
                    return Some(opened);
                }
                let reason = opened.head.status.as_str().to_owned();
                self.refused = Some(opened);
                reason
            }
            Err(failure) => {
                note_failure(target.endpoint, &failure);
                let reason = failure.as_str().to_owned();
                self.failure = Some(failure);
                reason
            }
        };
        let upstream = &target.endpoint.peer.config.name;
        tracing::info!(llm = %target.offer.llm, upstream, reason, "an attempt failed");
        record.attempt_failed(&target.offer.llm, &reason);
        None
    }

    async fn attempt(&mut self, target: &Target<'_>) -> Result<Opened, Failure> {
        let endpoint = target.endpoint;
        let name: &Arc<str> = &endpoint.name;
        let seat = Seat { endpoint: endpoint.clone(), _in_flight: endpoint.load.begin() };
        let translation = match target.way {
            Way::AsItCame => None,
            Way::Translated => Some(self.inbound.translation().map_err(|_| Failure::Unsupported)?),
        };
        let reasons = target.offer.capabilities.contains(&Capability::Reasoning);
        let body = translation.map(|translation| translation.body(name, reasons));
        let call = Call {
            wire: self.inbound.wire,
            query: self.inbound.query,
            headers: &self.headers,
            body: body.unwrap_or_else(|| self.inbound.document.with_model(name)),
            translation,
            offered: Offered { offer: target.offer, name, why: &self.plan.why },
        };
        let config = &self.snapshot.config;
        let opening = async {
            let (head, mut body) = endpoint.peer.send(call).await?.into_parts();
            // A status that moves on needs no body; its first byte is not waited for.
            let moves_on = config.retry.statuses.contains(&head.status.as_u16());
            let first = if moves_on { None } else { body.frame().await.transpose().map_err(Failure::Closed)? };
            Ok(Opened { head, first, body, seat })
        };
        tokio::time::timeout(config.timeouts.first_byte, opening).await.unwrap_or(Err(Failure::FirstByte))
    }

    /// Waits before the next round; false when there is no use in waiting.
    async fn wait(&mut self, round: u32) -> bool {
        if self.attempts >= self.snapshot.config.retry.attempts {
            return false;
        }
        let asked =
            self.refused.as_ref().and_then(|opened| retry::retry_after(&opened.head.headers, SystemTime::now()));
        let least = asked.max(self.shut).unwrap_or(Duration::ZERO);
        let is_worth_it = retry::is_worth_waiting(least);
        if is_worth_it {
            tokio::time::sleep(least.max(retry::pause(round))).await;
        }
        is_worth_it
    }
}

/// Every endpoint of every ranked LLM: another endpoint of the best LLM is better than the next LLM. Those that speak the
/// client's format come first, and of those the least loaded.
fn targets<'a>(snapshot: &'a Snapshot, inbound: &Inbound<'_>, plan: &Plan) -> Vec<Target<'a>> {
    let mut targets = Vec::with_capacity(plan.ranking.len());
    for llm in plan.ranking.iter().filter_map(|ranked| snapshot.roster.find(&ranked.llm)) {
        let way = |endpoint: &Endpoint| endpoint.peer.way(inbound.wire);
        let able = llm.endpoints.iter().filter_map(|endpoint| Some((way(endpoint)?, endpoint.load.cost(), endpoint)));
        let is_sayable = |way: Way| way == Way::AsItCame || inbound.translation().is_ok();
        let mut able: Vec<(Way, f64, &Endpoint)> = able.filter(|(way, _, _)| is_sayable(*way)).collect();
        able.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        targets.extend(able.into_iter().map(|(way, _, endpoint)| Target { offer: &llm.offer, endpoint, way }));
    }
    targets
}

/// Passive health: an answer shows that the upstream lives, a server error that it ails, a `retry-after` that it wants
/// rest.
fn note_answer(endpoint: &Endpoint, head: &response::Parts, started: Instant) {
    let now = Instant::now();
    endpoint.load.observe(now.saturating_duration_since(started).as_secs_f64(), now);
    let asks_for_rest = matches!(head.status.as_u16(), 429 | 503 | 529);
    match retry::retry_after(&head.headers, SystemTime::now()) {
        Some(wait) if asks_for_rest => endpoint.breaker.cool(now, wait),
        _ if head.status.is_server_error() => endpoint.peer.breaker.failed(now),
        _ => {
            endpoint.peer.breaker.succeeded();
            if !asks_for_rest {
                endpoint.breaker.succeeded();
            }
        }
    }
}

fn note_failure(endpoint: &Endpoint, failure: &Failure) {
    match failure {
        Failure::Connect(_) | Failure::Closed(_) | Failure::FirstByte => {
            endpoint.peer.breaker.failed(Instant::now());
        }
        Failure::Unsupported | Failure::Request(_) => {}
    }
}
