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
    endpoint_filter::EndpointFilter,
    endpoint_guard::{Attempt, EndpointGuard, UpstreamResponse},
    headers::{self, Credentials},
    read::ParsedRequest,
    request_log::RequestLog,
    retry,
};
use crate::{
    api::sse,
    decide::{Capability, Plan},
    upstream::{
        Circuit, Endpoint, Failure, Protocol, SimulatedRequest, UpstreamRequest,
        translated::{self, BufferLimits},
    },
};

/// What every attempt of a request shares.
struct RequestContext<'a> {
    snapshot: &'a Snapshot,
    request: &'a ParsedRequest<'a>,
    plan: &'a Plan,
}

/// How far a request has come.
struct RetryLoop<'a> {
    ctx: &'a RequestContext<'a>,
    attempts: usize,
    /// The last reply that moved on to the next place, with where it came from.
    retryable: Option<(Attempt<'a>, UpstreamResponse)>,
    failure: Option<Failure>,
    /// The shortest wait for an endpoint that was passed over.
    circuit_open_for: Option<Duration>,
}

/// An attempt that has come to its end, or to the beginning of an answer.
struct AttemptResult<'a> {
    attempt: Attempt<'a>,
    started: Instant,
    result: Result<UpstreamResponse, Failure>,
}

/// Tries the plan's LLMs, best first, until one begins to answer.
///
/// # Errors
///
/// Fails when none answers. An upstream's own error reply is an answer: the last one goes to the client as it is.
pub(super) async fn send(
    snapshot: &Snapshot,
    request: &ParsedRequest<'_>,
    plan: &Plan,
    log: &mut RequestLog,
) -> Result<UpstreamResponse, Error> {
    snapshot.retry_budget.deposit();
    let ctx = RequestContext { snapshot, request, plan };
    let mut retry_loop = RetryLoop { ctx: &ctx, attempts: 0, retryable: None, failure: None, circuit_open_for: None };
    for round in 0..snapshot.config.retry.rounds {
        if round > 0 && !retry_loop.wait(round).await {
            break;
        }
        if let Some(response) = retry_loop.run_round(log).await {
            return Ok(response);
        }
    }
    // A reply says more than a broken connection, and carries `retry-after`.
    match (retry_loop.retryable, retry_loop.failure, retry_loop.circuit_open_for) {
        (Some((attempt, response)), _, _) => {
            log.returns_error_response(attempt, &response);
            Ok(response)
        }
        (None, Some(failure), _) => Err(Error::Upstream(failure)),
        (None, None, Some(wait)) => Err(Error::CircuitsOpen { wait }),
        (None, None, None) => Err(Error::Upstream(Failure::Unsupported)),
    }
}

impl<'a> RetryLoop<'a> {
    /// Walks the ranking once.
    async fn run_round(&mut self, log: &mut RequestLog) -> Option<UpstreamResponse> {
        self.circuit_open_for = None;
        let RequestContext { snapshot, request, plan, .. } = self.ctx;
        let mut now = Instant::now();
        let mut attempts = attempts(snapshot, request, plan, now).into_iter();
        while let Some(attempt) = self.next(&mut attempts, log, now) {
            if let Some(response) = self.attempt_with_hedge(attempt, &mut attempts, log, now).await {
                return Some(response);
            }
            now = Instant::now();
        }
        None
    }

    /// Returns the next place that may be asked at `now`, as long as attempts and the retry budget last. The budget is asked
    /// before the gate, behind which a probe's place would be taken, and pays only for a call that is made.
    fn next(
        &mut self,
        attempts: &mut impl Iterator<Item = Attempt<'a>>,
        log: &mut RequestLog,
        now: Instant,
    ) -> Option<Attempt<'a>> {
        let snapshot = self.ctx.snapshot;
        let is_retry = self.attempts > 0;
        let is_over = self.attempts >= snapshot.config.retry.attempts;
        if is_over || (is_retry && !snapshot.retry_budget.withdraw()) {
            return None;
        }
        for attempt in attempts {
            if let Circuit::Open(wait) = attempt.endpoint.try_acquire(now) {
                self.circuit_open_for = Some(self.circuit_open_for.map_or(wait, |shortest| shortest.min(wait)));
                log.skipped(&attempt.endpoint.spec.llm);
                continue;
            }
            self.attempts += 1;
            return Some(Attempt { number: self.attempts, ..attempt });
        }
        if is_retry {
            snapshot.retry_budget.refund();
        }
        None
    }

    /// Asks `first` at `now`, and where hedging is on and it is slow, the next place too; who begins to answer first wins, and
    /// the other call is dropped, which cancels it.
    async fn attempt_with_hedge(
        &mut self,
        first: Attempt<'a>,
        attempts: &mut impl Iterator<Item = Attempt<'a>>,
        log: &mut RequestLog,
        now: Instant,
    ) -> Option<UpstreamResponse> {
        let ctx = self.ctx;
        if ctx.snapshot.config.hedge.is_none() {
            let ended = ctx.start_attempt(first, log, now).await;
            return self.handle_result(ended, log);
        }
        let mut running = FuturesUnordered::new();
        running.push(ctx.start_attempt(first, log, now));
        let mut hedge = ctx.snapshot.config.hedge.map(|hedge| hedge.after);
        let mut second: Option<Attempt<'a>> = None;
        loop {
            let ended = match hedge.take() {
                None => running.next().await?,
                Some(after) => match tokio::time::timeout(after, running.next()).await {
                    Ok(ended) => ended?,
                    Err(_) => {
                        let later = Instant::now();
                        second = self.next(attempts, log, later);
                        if let Some(second) = second {
                            log.hedge_started();
                            running.push(ctx.start_attempt(second, log, later));
                        }
                        continue;
                    }
                },
            };
            let (winner, is_first) = (ended.attempt.endpoint, ended.attempt.number == first.number);
            let Some(response) = self.handle_result(ended, log) else {
                continue;
            };
            if second.is_some() {
                log.hedge_finished(if is_first { "lost" } else { "won" });
            }
            if !is_first && !running.is_empty() {
                // The first was given up on: its wait is at least this long.
                first.endpoint.load.observe(now.elapsed().as_secs_f64(), Instant::now());
                // Only another place of the same LLM shows what it should have taken; one that refuses, as for a wrong key, is
                // quick without showing that.
                let is_alike = winner.spec.llm == first.endpoint.spec.llm;
                let is_elsewhere = !Arc::ptr_eq(&winner.upstream, &first.endpoint.upstream);
                if is_alike && is_elsewhere && response.head.status.is_success() {
                    first.endpoint.upstream.breaker.record_failure(Instant::now());
                }
            }
            return Some(response);
        }
    }

    /// Takes an answer, or keeps the failure.
    fn handle_result(&mut self, ended: AttemptResult<'a>, log: &mut RequestLog) -> Option<UpstreamResponse> {
        let AttemptResult { attempt, started, result } = ended;
        let reason = match result {
            Ok(response) => {
                let now = Instant::now();
                let first_byte = now.saturating_duration_since(started);
                record_response(attempt.endpoint, &response.head, first_byte, now);
                if !self.ctx.snapshot.config.retry.statuses.contains(&response.head.status.as_u16()) {
                    log.response_started(attempt, &response, first_byte);
                    return Some(response);
                }
                let reason = response.head.status.as_str().to_owned();
                self.retryable = Some((attempt, response));
                reason
            }
            Err(failure) => {
                record_failure(attempt.endpoint, &failure);
                let reason = failure.as_str().to_owned();
                self.failure = Some(failure);
                reason
            }
        };
        let upstream = &attempt.endpoint.upstream.config.name;
        tracing::info!(llm = %attempt.endpoint.spec.llm, upstream, reason, "an attempt failed");
        log.attempt_failed(attempt, &reason);
        None
    }

    /// Waits before the next round; false when there is no use in waiting.
    async fn wait(&mut self, round: u32) -> bool {
        if self.attempts >= self.ctx.snapshot.config.retry.attempts {
            return false;
        }
        let asked = self
            .retryable
            .as_ref()
            .and_then(|(_, response)| retry::retry_after(&response.head.headers, SystemTime::now()));
        let least = asked.max(self.circuit_open_for).unwrap_or(Duration::ZERO);
        let is_worth_it = retry::is_short_enough(least);
        if is_worth_it {
            tokio::time::sleep(least.max(retry::backoff(round))).await;
        }
        is_worth_it
    }
}

impl<'a> RequestContext<'a> {
    /// Begins to ask `target` at `now`.
    fn start_attempt(
        &'a self,
        attempt: Attempt<'a>,
        log: &mut RequestLog,
        now: Instant,
    ) -> Pin<Box<impl Future<Output = AttemptResult<'a>> + use<'a>>> {
        let parent = log.start_attempt(attempt);
        boxed(|| self.attempt(attempt, parent, now))
    }

    async fn attempt(&self, attempt: Attempt<'a>, parent: Option<HeaderValue>, started: Instant) -> AttemptResult<'a> {
        // Pinned where it is, as moving it would cost.
        let sending = pin!(self.send_request(attempt, parent));
        let response = tokio::time::timeout(self.snapshot.config.timeouts.first_byte, sending).await;
        let response = response.unwrap_or(Err(Failure::FirstByte));
        let result = match (attempt.protocol, response) {
            // Boxed: answers that come as they are need not carry it.
            (Protocol::Translated, Ok(response)) => Box::pin(self.translate(response)).await,
            (_, response) => response,
        };
        AttemptResult { attempt, started, result }
    }

    /// Returns an answer that has begun in the client's words. One in one piece must be read first, and then may turn out to
    /// be none.
    async fn translate(&self, response: UpstreamResponse) -> Result<UpstreamResponse, Failure> {
        let translation = self.request.translation().map_err(|_| Failure::Unsupported)?;
        let UpstreamResponse { mut head, first, body, guard } = response;
        let (config, is_success) = (&self.snapshot.config, head.status.is_success());
        let (timeouts, max_bytes) = (&config.timeouts, config.limits.response_buffer);
        let answering =
            translated::response(translation, &mut head, first, body, BufferLimits { idle: timeouts.idle, max_bytes });
        let body = match is_success {
            true => answering.await?,
            // Another LLM waits behind it.
            false => tokio::time::timeout(timeouts.first_byte, answering).await.map_err(|_| Failure::FirstByte)??,
        };
        Ok(UpstreamResponse { head, first: None, body, guard })
    }

    async fn send_request(
        &self,
        attempt: Attempt<'a>,
        parent: Option<HeaderValue>,
    ) -> Result<UpstreamResponse, Failure> {
        let is_ours = self.request.caller.has_gateway_key();
        let credentials = if is_ours { Credentials::Gateways } else { Credentials::Upstreams };
        let mut headers = headers::request_headers(self.request.headers, credentials);
        if let Some(parent) = parent {
            headers.insert("traceparent", parent);
        }
        let endpoint = attempt.endpoint;
        let name: &Arc<str> = &endpoint.name;
        let mut guard = EndpointGuard::acquire(endpoint);
        let translation = match attempt.protocol {
            Protocol::Native => None,
            Protocol::Translated => Some(self.request.translation().map_err(|_| Failure::Unsupported)?),
        };
        let reasons = attempt.endpoint.spec.capabilities.contains(&Capability::Reasoning);
        let body = translation.map(|translation| translation.body(name, reasons));
        let call = UpstreamRequest {
            wire: self.request.wire,
            query: self.request.query,
            headers,
            body: body.unwrap_or_else(|| self.request.document.with_model(name)),
            translation,
            simulated: SimulatedRequest { spec: &endpoint.spec, name, why: &self.plan.why },
        };
        let config = &self.snapshot.config;
        let (head, mut body) = endpoint.upstream.send(call).await?.into_parts();
        // A status that moves on needs no body; its first byte is not waited for.
        let moves_on = config.retry.statuses.contains(&head.status.as_u16());
        let first = if moves_on { None } else { body.frame().await.transpose().map_err(Failure::Closed)? };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Closed("the upstream left HTTP unasked".into()));
        }
        if first.is_none() && head.status.is_success() && sse::is_stream(&head.headers) {
            return Err(Failure::Closed("the upstream ended its stream before it began".into()));
        }
        guard.response_started();
        Ok(UpstreamResponse { head, first, body, guard })
    }
}

/// Every endpoint of every ranked LLM that can serve the request: another endpoint of the best LLM is better than the next
/// LLM. Those that speak the client's format come first, and of those the least loaded.
fn attempts<'a>(snapshot: &'a Snapshot, request: &ParsedRequest<'_>, plan: &Plan, now: Instant) -> Vec<Attempt<'a>> {
    let mut attempts = Vec::with_capacity(plan.ranking.len());
    let filter = EndpointFilter::of(snapshot, request, plan);
    for llm in plan.ranking.iter().filter_map(|ranked| snapshot.models.find(&ranked.llm)) {
        let able = filter.endpoints(llm).map(|(protocol, endpoint)| (protocol, endpoint.load.cost(now), endpoint));
        let mut able: Vec<(Protocol, f64, &Arc<Endpoint>)> = able.collect();
        able.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        attempts.extend(able.into_iter().map(|(protocol, _, endpoint)| Attempt { number: 0, endpoint, protocol }));
    }
    attempts
}

/// Passive health: an answer shows that the upstream lives, once it has ended well, a server error that it ails, a
/// `retry-after` that it wants rest.
fn record_response(endpoint: &Endpoint, head: &response::Parts, first_byte: Duration, now: Instant) {
    endpoint.load.observe(first_byte.as_secs_f64(), now);
    let asks_for_rest = matches!(head.status.as_u16(), 429 | 503 | 529);
    let rest = asks_for_rest.then(|| retry::retry_after(&head.headers, SystemTime::now())).flatten();
    match rest {
        Some(wait) => endpoint.breaker.open_for(now, wait),
        _ if head.status.is_server_error() => endpoint.upstream.breaker.record_failure(now),
        _ if head.status.is_success() => {
            endpoint.upstream.breaker.record_response_start();
            endpoint.breaker.record_response_start();
        }
        _ => {
            endpoint.upstream.breaker.record_success();
            if !asks_for_rest {
                endpoint.breaker.record_success();
            }
        }
    }
}

fn record_failure(endpoint: &Endpoint, failure: &Failure) {
    match failure {
        Failure::Connect(_) | Failure::Closed(_) | Failure::FirstByte | Failure::Unreadable => {
            endpoint.upstream.breaker.record_failure(Instant::now());
        }
        Failure::Unsupported | Failure::Request(_) => {}
    }
}
