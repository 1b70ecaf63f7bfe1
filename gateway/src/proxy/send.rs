//! Phase three: down the ranking until an upstream begins to answer.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, StatusCode, response};
use http_body_util::BodyExt;

use super::{
    Error, Snapshot, boxed,
    finish::Record,
    fit::Fit,
    headers::{self, Credentials},
    read::Inbound,
    retry,
    seat::{Opened, Seat, Target},
};
use crate::{
    api::sse,
    decide::{Capability, Plan},
    upstream::{
        Call, Endpoint, Failure, Gate, Offered, Way,
        translated::{self, Bounds},
    },
};

/// What every attempt of a request shares.
struct Letter<'a> {
    snapshot: &'a Snapshot,
    inbound: &'a Inbound<'a>,
    plan: &'a Plan,
}

/// How far a request has come.
struct Sender<'a> {
    letter: &'a Letter<'a>,
    attempts: usize,
    /// The last reply that moved on to the next place, with where it came from.
    refused: Option<(Target<'a>, Opened)>,
    failure: Option<Failure>,
    /// The shortest wait for an endpoint that was passed over.
    shut: Option<Duration>,
}

/// An attempt that has come to its end, or to the beginning of an answer.
struct Ended<'a> {
    target: Target<'a>,
    started: Instant,
    result: Result<Opened, Failure>,
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
    let letter = Letter { snapshot, inbound, plan };
    let mut sender = Sender { letter: &letter, attempts: 0, refused: None, failure: None, shut: None };
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
        (Some((target, opened)), _, _) => {
            record.refused_by_upstream(target, &opened);
            Ok(opened)
        }
        (None, Some(failure), _) => Err(Error::Upstream(failure)),
        (None, None, Some(wait)) => Err(Error::Cooling { wait }),
        (None, None, None) => Err(Error::Upstream(Failure::Unsupported)),
    }
}

impl<'a> Sender<'a> {
    /// Walks the ranking once.
    async fn walk(&mut self, record: &mut Record) -> Option<Opened> {
        self.shut = None;
        let Letter { snapshot, inbound, plan, .. } = self.letter;
        let mut now = Instant::now();
        let mut targets = targets(snapshot, inbound, plan, now).into_iter();
        while let Some(target) = self.next(&mut targets, record, now) {
            if let Some(opened) = self.race(target, &mut targets, record, now).await {
                return Some(opened);
            }
            now = Instant::now();
        }
        None
    }

    /// Returns the next place that may be asked at `now`, as long as attempts and the retry budget last. The budget is asked
    /// before the gate, behind which a probe's place would be taken, and pays only for a call that is made.
    fn next(
        &mut self,
        targets: &mut impl Iterator<Item = Target<'a>>,
        record: &mut Record,
        now: Instant,
    ) -> Option<Target<'a>> {
        let snapshot = self.letter.snapshot;
        let is_retry = self.attempts > 0;
        let is_over = self.attempts >= snapshot.config.retry.attempts;
        if is_over || (is_retry && !snapshot.retries.spend()) {
            return None;
        }
        for target in targets {
            if let Gate::Shut(wait) = target.endpoint.enter(now) {
                self.shut = Some(self.shut.map_or(wait, |shortest| shortest.min(wait)));
                record.skipped(&target.endpoint.offer.llm);
                continue;
            }
            self.attempts += 1;
            return Some(Target { attempt: self.attempts, ..target });
        }
        if is_retry {
            snapshot.retries.refund();
        }
        None
    }

    /// Asks `first` at `now`, and where hedging is on and it is slow, the next place too; who begins to answer first wins, and
    /// the other call is dropped, which cancels it.
    async fn race(
        &mut self,
        first: Target<'a>,
        targets: &mut impl Iterator<Item = Target<'a>>,
        record: &mut Record,
        now: Instant,
    ) -> Option<Opened> {
        let letter = self.letter;
        if letter.snapshot.config.hedge.is_none() {
            let ended = letter.try_at(first, record, now).await;
            return self.judge(ended, record);
        }
        let mut running = FuturesUnordered::new();
        running.push(letter.try_at(first, record, now));
        let mut hedge = letter.snapshot.config.hedge.map(|hedge| hedge.after);
        let mut second: Option<Target<'a>> = None;
        loop {
            let ended = match hedge.take() {
                None => running.next().await?,
                Some(after) => match tokio::time::timeout(after, running.next()).await {
                    Ok(ended) => ended?,
                    Err(_) => {
                        let later = Instant::now();
                        second = self.next(targets, record, later);
                        if let Some(second) = second {
                            record.hedging();
                            running.push(letter.try_at(second, record, later));
                        }
                        continue;
                    }
                },
            };
            let (winner, is_first) = (ended.target.endpoint, ended.target.attempt == first.attempt);
            let Some(opened) = self.judge(ended, record) else {
                continue;
            };
            if second.is_some() {
                record.hedged(if is_first { "lost" } else { "won" });
            }
            if !is_first && !running.is_empty() {
                // The first was given up on: its wait is at least this long.
                first.endpoint.load.observe(now.elapsed().as_secs_f64(), Instant::now());
                // Only another place of the same LLM shows what it should have taken; one that refuses, as for a wrong key, is
                // quick without showing that.
                let is_alike = winner.offer.llm == first.endpoint.offer.llm;
                let is_elsewhere = !Arc::ptr_eq(&winner.peer, &first.endpoint.peer);
                if is_alike && is_elsewhere && opened.head.status.is_success() {
                    first.endpoint.peer.breaker.failed(Instant::now());
                }
            }
            return Some(opened);
        }
    }

    /// Takes an answer, or keeps the failure.
    fn judge(&mut self, ended: Ended<'a>, record: &mut Record) -> Option<Opened> {
        let Ended { target, started, result } = ended;
        let reason = match result {
            Ok(opened) => {
                let now = Instant::now();
                let first_byte = now.saturating_duration_since(started);
                note_answer(target.endpoint, &opened.head, first_byte, now);
                if !self.letter.snapshot.config.retry.statuses.contains(&opened.head.status.as_u16()) {
                    record.answered(target, &opened, first_byte);
                    return Some(opened);
                }
                let reason = opened.head.status.as_str().to_owned();
                self.refused = Some((target, opened));
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
        tracing::info!(llm = %target.endpoint.offer.llm, upstream, reason, "an attempt failed");
        record.attempt_failed(target, &reason);
        None
    }

    /// Waits before the next round; false when there is no use in waiting.
    async fn wait(&mut self, round: u32) -> bool {
        if self.attempts >= self.letter.snapshot.config.retry.attempts {
            return false;
        }
        let asked =
            self.refused.as_ref().and_then(|(_, opened)| retry::retry_after(&opened.head.headers, SystemTime::now()));
        let least = asked.max(self.shut).unwrap_or(Duration::ZERO);
        let is_worth_it = retry::is_worth_waiting(least);
        if is_worth_it {
            tokio::time::sleep(least.max(retry::pause(round))).await;
        }
        is_worth_it
    }
}

impl<'a> Letter<'a> {
    /// Begins to ask `target` at `now`.
    fn try_at(
        &'a self,
        target: Target<'a>,
        record: &mut Record,
        now: Instant,
    ) -> Pin<Box<impl Future<Output = Ended<'a>> + use<'a>>> {
        let parent = record.trying(target);
        boxed(|| self.attempt(target, parent, now))
    }

    async fn attempt(&self, target: Target<'a>, parent: Option<HeaderValue>, started: Instant) -> Ended<'a> {
        // Pinned where it is, as moving it would cost.
        let opening = pin!(self.open(target, parent));
        let opened = tokio::time::timeout(self.snapshot.config.timeouts.first_byte, opening).await;
        let opened = opened.unwrap_or(Err(Failure::FirstByte));
        let result = match (target.way, opened) {
            // Boxed: answers that come as they are need not carry it.
            (Way::Translated, Ok(opened)) => Box::pin(self.translate(opened)).await,
            (_, opened) => opened,
        };
        Ended { target, started, result }
    }

    /// Returns an answer that has begun in the client's words. One in one piece must be read first, and then may turn out to
    /// be none.
    async fn translate(&self, opened: Opened) -> Result<Opened, Failure> {
        let translation = self.inbound.translation().map_err(|_| Failure::Unsupported)?;
        let Opened { mut head, first, body, seat } = opened;
        let (config, is_success) = (&self.snapshot.config, head.status.is_success());
        let (timeouts, most) = (&config.timeouts, config.limits.response_buffer);
        let answering = translated::answer(translation, &mut head, first, body, Bounds { idle: timeouts.idle, most });
        let body = match is_success {
            true => answering.await?,
            // Another LLM waits behind it.
            false => tokio::time::timeout(timeouts.first_byte, answering).await.map_err(|_| Failure::FirstByte)??,
        };
        Ok(Opened { head, first: None, body, seat })
    }

    async fn open(&self, target: Target<'a>, parent: Option<HeaderValue>) -> Result<Opened, Failure> {
        let is_ours = self.inbound.caller.is_identified();
        let credentials = if is_ours { Credentials::Gateways } else { Credentials::Upstreams };
        let mut headers = headers::outbound(self.inbound.headers, credentials);
        if let Some(parent) = parent {
            headers.insert("traceparent", parent);
        }
        let endpoint = target.endpoint;
        let name: &Arc<str> = &endpoint.name;
        let mut seat = Seat::take(endpoint);
        let translation = match target.way {
            Way::AsItCame => None,
            Way::Translated => Some(self.inbound.translation().map_err(|_| Failure::Unsupported)?),
        };
        let reasons = target.endpoint.offer.capabilities.contains(&Capability::Reasoning);
        let body = translation.map(|translation| translation.body(name, reasons));
        let call = Call {
            wire: self.inbound.wire,
            query: self.inbound.query,
            headers,
            body: body.unwrap_or_else(|| self.inbound.document.with_model(name)),
            translation,
            offered: Offered { offer: &endpoint.offer, name, why: &self.plan.why },
        };
        let config = &self.snapshot.config;
        let (head, mut body) = endpoint.peer.send(call).await?.into_parts();
        // A status that moves on needs no body; its first byte is not waited for.
        let moves_on = config.retry.statuses.contains(&head.status.as_u16());
        let first = if moves_on { None } else { body.frame().await.transpose().map_err(Failure::Closed)? };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Closed("the upstream left HTTP unasked".into()));
        }
        if first.is_none() && head.status.is_success() && sse::is_stream(&head.headers) {
            return Err(Failure::Closed("the upstream ended its stream before it began".into()));
        }
        seat.began();
        Ok(Opened { head, first, body, seat })
    }
}

/// Every endpoint of every ranked LLM that can serve the request: another endpoint of the best LLM is better than the next
/// LLM. Those that speak the client's format come first, and of those the least loaded.
fn targets<'a>(snapshot: &'a Snapshot, inbound: &Inbound<'_>, plan: &Plan, now: Instant) -> Vec<Target<'a>> {
    let mut targets = Vec::with_capacity(plan.ranking.len());
    let fit = Fit::of(snapshot, inbound, plan);
    for llm in plan.ranking.iter().filter_map(|ranked| snapshot.roster.find(&ranked.llm)) {
        let able = fit.places(llm).map(|(way, endpoint)| (way, endpoint.load.cost(now), endpoint));
        let mut able: Vec<(Way, f64, &Arc<Endpoint>)> = able.collect();
        able.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        targets.extend(able.into_iter().map(|(way, _, endpoint)| Target { attempt: 0, endpoint, way }));
    }
    targets
}

/// Passive health: an answer shows that the upstream lives, once it has ended well, a server error that it ails, a
/// `retry-after` that it wants rest.
fn note_answer(endpoint: &Endpoint, head: &response::Parts, first_byte: Duration, now: Instant) {
    endpoint.load.observe(first_byte.as_secs_f64(), now);
    let asks_for_rest = matches!(head.status.as_u16(), 429 | 503 | 529);
    let rest = asks_for_rest.then(|| retry::retry_after(&head.headers, SystemTime::now())).flatten();
    match rest {
        Some(wait) => endpoint.breaker.cool(now, wait),
        _ if head.status.is_server_error() => endpoint.peer.breaker.failed(now),
        _ if head.status.is_success() => {
            endpoint.peer.breaker.began();
            endpoint.breaker.began();
        }
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
        Failure::Connect(_) | Failure::Closed(_) | Failure::FirstByte | Failure::Unreadable => {
            endpoint.peer.breaker.failed(Instant::now());
        }
        Failure::Unsupported | Failure::Request(_) => {}
    }
}
