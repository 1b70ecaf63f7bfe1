//! The send phase: the retry loop, which tries endpoints in the order of the ranking until a response starts.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Error, Snapshot,
    attempt::{Attempt, AttemptResult, UpstreamResponse},
    attempts::Hedge,
    boxed::boxed,
    endpoint_filter::EndpointFilter,
    failure_table::{Verdict, verdict},
    passive_health,
    read::ParsedRequest,
    request_log::RequestLog,
    retry,
    upstream_call::RequestContext,
};
use crate::{
    decide::Plan,
    upstream::{Circuit, Endpoint, Failure, Protocol},
};

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

    /// Returns the next endpoint to try at `now`, within the limit of attempts and the retry budget. Skipping an endpoint with
    /// an open circuit costs neither.
    fn next(
        &mut self,
        attempts: &mut impl Iterator<Item = Attempt<'a>>,
        log: &mut RequestLog,
        now: Instant,
    ) -> Option<Attempt<'a>> {
        let snapshot = self.ctx.snapshot;
        if self.attempts >= snapshot.config.retry.attempts {
            return None;
        }
        for attempt in attempts {
            if let Circuit::Open(wait) = attempt.endpoint.try_acquire(now) {
                self.circuit_open_for = Some(self.circuit_open_for.map_or(wait, |shortest| shortest.min(wait)));
                log.endpoint_skipped(&attempt.endpoint.spec.llm);
                continue;
            }
            let is_retry = self.attempts > 0;
            if is_retry && !snapshot.retry_budget.withdraw() {
                attempt.endpoint.release_trial();
                return None;
            }
            self.attempts += 1;
            return Some(Attempt { number: self.attempts, ..attempt });
        }
        None
    }

    /// Starts `attempt` at `now`.
    fn start(
        ctx: &'a RequestContext<'a>,
        attempt: Attempt<'a>,
        log: &mut RequestLog,
        now: Instant,
    ) -> Pin<Box<impl Future<Output = AttemptResult<'a>> + use<'a>>> {
        let parent = log.start_attempt(attempt);
        boxed(|| ctx.call(attempt, parent, now))
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
            let ended = Self::start(ctx, first, log, now).await;
            return self.handle_result(ended, log);
        }
        let mut running = FuturesUnordered::new();
        running.push(Self::start(ctx, first, log, now));
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
                            running.push(Self::start(ctx, second, log, later));
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
                let verdict = self.verdict(attempt, &response);
                passive_health::record_response(attempt.endpoint, &response.head, verdict.health, first_byte, now);
                if !verdict.fails_over {
                    log.response_started(attempt, &response, first_byte);
                    return Some(response);
                }
                let reason = response.head.status.as_str().to_owned();
                self.retryable = Some((attempt, response));
                reason
            }
            Err(failure) => {
                passive_health::record_failure(attempt.endpoint, &failure);
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

    /// Returns what the response of `attempt` means.
    fn verdict(&self, attempt: Attempt<'a>, response: &UpstreamResponse) -> Verdict {
        let body = response.first.as_ref().and_then(|frame| frame.data_ref()).map_or(&[][..], |data| data);
        let has_our_key = attempt.endpoint.upstream.config.api_key.is_some();
        verdict(response.head.status, body, has_our_key, &self.ctx.snapshot.config)
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
