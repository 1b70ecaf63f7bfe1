//! The send phase: the retry loop, which tries endpoints in the order of the ranking until a response starts.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, StatusCode, response};
use http_body_util::BodyExt;

use super::{
    Error, Snapshot,
    attempts::Hedge,
    boxed,
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

/// The context that all attempts of a request share.
struct RequestContext<'a> {
    snapshot: &'a Snapshot,
    request: &'a ParsedRequest<'a>,
    plan: &'a Plan,
}

/// The state of the retry loop.
struct RetryLoop<'a> {
    ctx: &'a RequestContext<'a>,
    attempts: usize,
    /// The last response with a status that is retried, and its attempt.
    retryable: Option<(Attempt<'a>, UpstreamResponse)>,
    failure: Option<Failure>,
    /// The shortest cool-down of the endpoints that were skipped.
    circuit_open_for: Option<Duration>,
}

/// The result of an attempt: the start of a response, or a failure.
struct AttemptResult<'a> {
    attempt: Attempt<'a>,
    started: Instant,
    result: Result<UpstreamResponse, Failure>,
}

/// Tries the LLMs of `plan`, best first, until a response starts.
///
/// # Errors
///
/// Fails if no upstream responds. If every response is an error, the last one is returned unchanged.
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
    // An error response is more useful than a connection failure, and may contain `retry-after`.
    match (retry_loop.retryable, retry_loop.failure, retry_loop.circuit_open_for) {
        (Some((attempt, response)), _, _) => {
            log.error_response_returned(attempt, &response);
            Ok(response)
        }
        (None, Some(failure), _) => Err(Error::Upstream(failure)),
        (None, None, Some(wait)) => Err(Error::CircuitsOpen { wait }),
        (None, None, None) => Err(Error::Upstream(Failure::Unsupported)),
    }
}

impl<'a> RetryLoop<'a> {
    /// Goes down the ranking once.
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

    /// Returns the next endpoint to try at `now`, within the limit of attempts and the retry budget. The retry is withdrawn
    /// before the circuit breaker is asked, which may grant a trial, and refunded if no endpoint is left.
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
                log.endpoint_skipped(&attempt.endpoint.spec.llm);
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

    /// Tries `first` at `now`. With hedging, if it is slow, the next endpoint is tried beside it. The first response to start
    /// is returned; dropping the other attempt cancels it.
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
                            log.record_hedge(Hedge::Failed);
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
                log.record_hedge(if is_first { Hedge::Lost } else { Hedge::Won });
            }
            if !is_first && !running.is_empty() {
                // The first attempt was abandoned: its latency is at least this.
                first.endpoint.load.observe(now.elapsed().as_secs_f64(), Instant::now());
                // Only a successful response of the same LLM at another upstream shows that the first upstream is slow.
                let is_same_llm = winner.spec.llm == first.endpoint.spec.llm;
                let is_other_upstream = !Arc::ptr_eq(&winner.upstream, &first.endpoint.upstream);
                if is_same_llm && is_other_upstream && response.head.status.is_success() {
                    first.endpoint.upstream.breaker.record_failure(Instant::now());
                }
            }
            return Some(response);
        }
    }

    /// Returns a response that is not retried, and keeps the others.
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

    /// Waits before the next round; returns false if the wait would be too long or no attempt is left.
    async fn wait(&mut self, round: u32) -> bool {
        if self.attempts >= self.ctx.snapshot.config.retry.attempts {
            return false;
        }
        let asked = self
            .retryable
            .as_ref()
            .and_then(|(_, response)| retry::retry_after(&response.head.headers, SystemTime::now()));
        let least = asked.max(self.circuit_open_for).unwrap_or(Duration::ZERO);
        let is_acceptable = retry::is_short_enough(least);
        if is_acceptable {
            tokio::time::sleep(least.max(retry::backoff(round))).await;
        }
        is_acceptable
    }
}

impl<'a> RequestContext<'a> {
    /// Starts `attempt` at `now`.
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
        // Pinned in place, as moving a large future is expensive.
        let sending = pin!(self.send_request(attempt, parent));
        let response = tokio::time::timeout(self.snapshot.config.timeouts.first_byte, sending).await;
        let response = response.unwrap_or(Err(Failure::FirstByte));
        let result = match (attempt.protocol, response) {
            // Boxed, so that native responses do not carry the size of this future.
            (Protocol::Translated, Ok(response)) => Box::pin(self.translate(response)).await,
            (_, response) => response,
        };
        AttemptResult { attempt, started, result }
    }

    /// Translates a response to the client's format. A response that is not a stream is buffered, and may turn out to be
    /// unusable.
    async fn translate(&self, response: UpstreamResponse) -> Result<UpstreamResponse, Failure> {
        let translation = self.request.translation().map_err(|_| Failure::Unsupported)?;
        let UpstreamResponse { mut head, first, body, guard } = response;
        let (config, is_success) = (&self.snapshot.config, head.status.is_success());
        let (timeouts, max_bytes) = (&config.timeouts, config.limits.response_buffer);
        let answering =
            translated::response(translation, &mut head, first, body, BufferLimits { idle: timeouts.idle, max_bytes });
        let body = match is_success {
            true => answering.await?,
            // An error response may fail over to the next LLM, so it must not delay it for long.
            false => tokio::time::timeout(timeouts.first_byte, answering).await.map_err(|_| Failure::FirstByte)??,
        };
        Ok(UpstreamResponse { head, first: None, body, guard })
    }

    async fn send_request(
        &self,
        attempt: Attempt<'a>,
        parent: Option<HeaderValue>,
    ) -> Result<UpstreamResponse, Failure> {
        let is_authenticated = self.request.caller.has_gateway_key();
        let credentials = if is_authenticated { Credentials::Gateway } else { Credentials::Upstream };
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
        // A response that will be retried needs no body.
        let is_retried = config.retry.statuses.contains(&head.status.as_u16());
        let first = if is_retried { None } else { body.frame().await.transpose().map_err(Failure::Closed)? };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Closed("the upstream switched protocols without a request".into()));
        }
        if first.is_none() && head.status.is_success() && sse::is_stream(&head.headers) {
            return Err(Failure::Closed("the upstream ended its stream before the first event".into()));
        }
        guard.response_started();
        Ok(UpstreamResponse { head, first, body, guard })
    }
}

/// Returns every endpoint that can serve the request, by the rank of its LLM. Of one LLM, endpoints that speak the client's
/// format come first, and of those the least loaded one.
fn attempts<'a>(snapshot: &'a Snapshot, request: &ParsedRequest<'_>, plan: &Plan, now: Instant) -> Vec<Attempt<'a>> {
    let mut attempts = Vec::with_capacity(plan.ranking.len());
    let filter = EndpointFilter::of(snapshot, request, plan);
    for llm in plan.ranking.iter().filter_map(|ranked| snapshot.models.find(&ranked.llm)) {
        let eligible = filter.endpoints(llm).map(|(protocol, endpoint)| (protocol, endpoint.load.cost(now), endpoint));
        let mut eligible: Vec<(Protocol, f64, &Arc<Endpoint>)> = eligible.collect();
        eligible.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        attempts.extend(eligible.into_iter().map(|(protocol, _, endpoint)| Attempt { number: 0, endpoint, protocol }));
    }
    attempts
}

/// Reports a response to the load and the circuit breakers: `retry-after` opens the circuit of the endpoint, a server error
/// counts as a failure of the upstream, and other responses count as successes.
fn record_response(endpoint: &Endpoint, head: &response::Parts, first_byte: Duration, now: Instant) {
    endpoint.load.observe(first_byte.as_secs_f64(), now);
    let is_overloaded = matches!(head.status.as_u16(), 429 | 503 | 529);
    let cooldown = is_overloaded.then(|| retry::retry_after(&head.headers, SystemTime::now())).flatten();
    match cooldown {
        Some(wait) => endpoint.breaker.open_for(now, wait),
        _ if head.status.is_server_error() => endpoint.upstream.breaker.record_failure(now),
        _ if head.status.is_success() => {
            endpoint.upstream.breaker.record_response_start();
            endpoint.breaker.record_response_start();
        }
        _ => {
            endpoint.upstream.breaker.record_success();
            if !is_overloaded {
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
