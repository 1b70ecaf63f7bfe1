//! The last phase: one record for each request, headers_out once, when the request ends in whatever protocol.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Error,
    endpoint_guard::{Attempt, UpstreamResponse},
    headers,
    read::ParsedRequest,
    spans::{RequestEnd, Spans},
};
use crate::{
    api::Usage,
    decide::{ModelSpec, Plan},
    state::{Cost, QuotaLease},
    telemetry::{Metrics, Used},
    upstream::{Endpoint, Failure},
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer went out whole.
    Ok,
    /// The upstream answered with an error.
    UpstreamError,
    /// The upstream cut its answer.
    Truncated,
    /// The client left.
    ClientGone,
    /// The gateway refused or gave up; says why.
    Refused(&'static str),
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UpstreamError => "upstream_error",
            Self::Truncated => "truncated",
            Self::ClientGone => "client_gone",
            Self::Refused(label) => label,
        }
    }
}

/// What is known of a request; dropped when it ends, and then logged and counted.
#[derive(Debug)]
pub(super) struct RequestLog {
    pub(super) started: Instant,
    route: &'static str,
    metrics: Arc<Metrics>,
    permit: Option<OwnedSemaphorePermit>,
    lease: Option<QuotaLease>,
    key: Arc<str>,
    user: Option<Arc<str>>,
    prompt_tokens: u64,
    estimated: bool,
    requested_model: Arc<str>,
    streaming: bool,
    decision: String,
    /// The LLM that was chosen.
    chosen: Option<Arc<str>>,
    /// Where the answer comes from, as far as is known.
    endpoint: Option<Arc<Endpoint>>,
    /// Attempts that have neither failed nor been forgotten for another one's answer.
    attempts_in_flight: usize,
    user_state: &'static str,
    fallback_reason: &'static str,
    /// What is wrong with the store of spending.
    state: &'static str,
    decision_time: Duration,
    first_byte: Duration,
    failed_attempts: usize,
    hedge: &'static str,
    status: StatusCode,
    usage: Option<Usage>,
    outcome: Outcome,
    /// What did not go as planned.
    fallback: String,
    explanation: String,
    spans: Spans,
}

impl RequestLog {
    /// Begins the record of a request.
    pub(super) fn begin(route: &'static str, metrics: Arc<Metrics>, spans: Spans) -> Self {
        metrics.began();
        Self {
            started: Instant::now(),
            route,
            metrics,
            permit: None,
            lease: None,
            key: Arc::default(),
            user: None,
            prompt_tokens: 0,
            estimated: false,
            requested_model: Arc::default(),
            streaming: false,
            decision: String::new(),
            chosen: None,
            endpoint: None,
            attempts_in_flight: 0,
            user_state: "",
            fallback_reason: "",
            state: "",
            decision_time: Duration::ZERO,
            first_byte: Duration::ZERO,
            failed_attempts: 0,
            hedge: "",
            status: StatusCode::OK,
            usage: None,
            // Whoever drops the record before it is finished has lost its client.
            outcome: Outcome::ClientGone,
            fallback: String::new(),
            explanation: String::new(),
            spans,
        }
    }

    /// Keeps the request's endpoint among those in flight until it ends.
    pub(super) fn hold_permit(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// Notes what was asked.
    pub(super) fn record_request(&mut self, request: &ParsedRequest<'_>) {
        self.streaming = request.facts.stream;
        self.prompt_tokens = u64::from(request.facts.prompt_tokens());
        self.key = request.caller.name();
        self.user.clone_from(&request.user);
        self.spans.record_request(request);
    }

    /// Holds the request's quotas until it ends; reports when its spending could not be persisted, or when the shared
    /// store did not answer.
    pub(super) fn hold_reservation(&mut self, lease: QuotaLease) {
        self.state = match (lease.is_persist_failed(), lease.is_store_unavailable()) {
            (false, false) => "",
            (true, false) => "persist_failed",
            (false, true) => "store_unavailable",
            (true, true) => "persist_failed, store_unavailable",
        };
        for reason in self.state.split(", ").filter(|reason| !reason.is_empty()) {
            self.metrics.state_failed(reason);
            headers::failed(&mut self.fallback, "state", reason);
        }
        self.lease = Some(lease);
    }

    /// Notes the decision, which began at `began`.
    pub(super) fn record_decision(&mut self, plan: &Plan, explained: bool, began: Instant) {
        self.spans.record_decision(plan, began);
        self.chosen = plan.chosen().map(|chosen| Arc::clone(&chosen.llm));
        self.requested_model = plan.virtual_model.clone().or_else(|| self.chosen.clone()).unwrap_or_default();
        self.decision.clone_from(&plan.id);
        self.user_state = plan.user_state.map_or("", |state| state.as_str());
        self.fallback_reason = plan.fallback_reason.map_or("", |reason| reason.as_str());
        self.decision_time = plan.elapsed;
        if let Some(reason) = plan.fallback_reason {
            headers::failed(&mut self.fallback, "router", reason.as_str());
        }
        if explained {
            self.explanation = headers::explanation(plan);
        }
        if plan.virtual_model.is_some() {
            self.metrics.decided(plan.elapsed, plan.fallback_reason.map(|reason| reason.as_str()));
        }
    }

    /// Notes that `target` is asked to answer; returns the `traceparent` of the call when it is traced.
    pub(super) fn start_attempt(&mut self, attempt: Attempt<'_>) -> Option<HeaderValue> {
        self.set_endpoint(attempt.endpoint);
        self.attempts_in_flight += 1;
        self.spans.start_attempt(attempt.number, &attempt.endpoint.spec.llm, attempt.endpoint)
    }

    /// Names `endpoint` as where the answer comes from, as far as is known.
    fn set_endpoint(&mut self, endpoint: &Arc<Endpoint>) {
        self.endpoint = Some(Arc::clone(endpoint));
    }

    /// Notes that the attempt at `target` failed.
    pub(super) fn attempt_failed(&mut self, attempt: Attempt<'_>, reason: &str) {
        let llm = &attempt.endpoint.spec.llm;
        self.attempts_in_flight = self.attempts_in_flight.saturating_sub(1);
        self.failed_attempts += 1;
        self.metrics.attempt_failed(llm, reason);
        headers::failed(&mut self.fallback, llm, reason);
        self.spans.attempt_failed(attempt.number, reason);
    }

    /// Notes that another endpoint is asked too, because the first is slow.
    pub(super) fn hedge_started(&mut self) {
        self.hedge = "failed";
    }

    /// Notes whether that other endpoint was the one to answer.
    pub(super) fn hedge_finished(&mut self, outcome: &'static str) {
        self.hedge = outcome;
    }

    /// Notes that an LLM was not asked because its upstream is left alone.
    pub(super) fn skipped(&mut self, llm: &str) {
        self.metrics.attempt_failed(llm, "circuit_open");
        headers::failed(&mut self.fallback, llm, "circuit_open");
    }

    /// Notes that an answer has begun, from `target`.
    pub(super) fn response_started(&mut self, attempt: Attempt<'_>, response: &UpstreamResponse, first_byte: Duration) {
        self.set_endpoint(attempt.endpoint);
        self.status = response.head.status;
        self.first_byte = first_byte;
        self.metrics.answered(&attempt.endpoint.spec.llm, self.user_state, first_byte);
        self.spans.response_started(attempt.number);
    }

    /// Notes that the refusal of `target` is the answer, although others may have been asked since.
    pub(super) fn returns_error_response(&mut self, attempt: Attempt<'_>, response: &UpstreamResponse) {
        self.set_endpoint(attempt.endpoint);
        self.status = response.head.status;
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the LLM that answers, if one does.
    pub(super) fn llm(&self) -> Option<Arc<str>> {
        self.answering_llm().filter(|_| self.status.is_success()).cloned()
    }

    /// Returns the LLM of the endpoint that is named.
    fn answering_llm(&self) -> Option<&Arc<str>> {
        self.endpoint.as_ref().map(|endpoint| &endpoint.spec.llm)
    }

    /// Returns whether the model that the upstream names is of use to anybody.
    pub(super) fn is_traced(&self) -> bool {
        self.spans.is_traced()
    }

    /// Notes which model the upstream says has answered.
    pub(super) fn set_response_model(&mut self, model: Option<String>) {
        self.spans.set_response_model(model);
    }

    /// Notes tokens that the upstream counted.
    pub(super) fn record_usage(&mut self, usage: Usage) {
        self.usage = Some(self.usage.unwrap_or_default().merge(usage));
    }

    /// Notes an answer of about `output` tokens that the upstream did not count; an error costs nothing.
    pub(super) fn estimate_usage(&mut self, output: u64) {
        if self.usage.is_none() && self.status.is_success() {
            self.estimated = true;
            self.usage = Some(Usage { input: self.prompt_tokens, cached: 0, output });
        }
    }

    /// Notes that the answer broke off after about `output` tokens: what upstreams count before its end is less.
    pub(super) fn truncated_after(&mut self, output: u64) {
        if let Some(usage) = self.usage.as_mut().filter(|usage| usage.output < output) {
            usage.output = output;
            self.estimated = true;
        }
    }

    /// Adds the headers that tell how the answer came about.
    pub(super) fn add_headers(&self, headers_out: &mut HeaderMap) {
        headers::set(headers_out, headers::DECISION, &self.decision);
        let model = self.answering_llm().or(self.chosen.as_ref());
        headers::set(headers_out, headers::MODEL, model.map_or("", |model| model));
        headers::set(headers_out, headers::USER_STATE, self.user_state);
        headers::set(headers_out, headers::FALLBACK, &self.fallback);
        headers::set(headers_out, headers::EXPLAIN, &self.explanation);
        // A second endpoint that was asked in vain is listed in `fallback`.
        if self.hedge != "failed" {
            headers::set(headers_out, headers::HEDGE, self.hedge);
        }
    }

    /// Ends the log: the answer went out.
    pub(super) fn mark_completed(&mut self) {
        self.outcome = if self.status.is_success() { Outcome::Ok } else { Outcome::UpstreamError };
    }

    /// Ends the log: the upstream cut its answer.
    pub(super) fn mark_truncated(&mut self) {
        self.outcome = Outcome::Truncated;
    }

    /// Ends the record with `error`; adds the headers that tell how it came about.
    pub(super) fn fail(mut self, error: &Error, headers_out: &mut HeaderMap) {
        if matches!(error, Error::Timeout) {
            self.charge_abandoned_prompt();
        }
        // It was given up on, though the attempt has ended.
        if matches!(error, Error::Upstream(Failure::FirstByte)) && self.endpoint.is_some() {
            self.estimate_usage(0);
        }
        self.status = error.status();
        self.outcome = Outcome::Refused(error.label());
        self.add_headers(headers_out);
    }

    /// Notes that nobody waits any more for an answer that has not begun: its prompt was sent, and upstreams charge for
    /// those.
    fn charge_abandoned_prompt(&mut self) {
        if self.attempts_in_flight > 0 {
            self.estimate_usage(0);
        }
    }

    /// USD of the tokens the upstream counted.
    fn cost(&self) -> Option<f64> {
        Some(usd(self.usage?, &self.endpoint.as_ref()?.spec))
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.hedge.is_empty() {
            self.metrics.hedged(self.hedge);
        }
        let total = self.started.elapsed();
        if self.outcome == Outcome::ClientGone {
            self.charge_abandoned_prompt();
        }
        // Where nobody was asked, nobody answers.
        let model = self.answering_llm().cloned().unwrap_or_default();
        self.metrics.ended(self.route, &self.requested_model, self.outcome.as_str(), total);
        let cost = self.cost();
        if let (Some(usage), Some(cost)) = (self.usage, cost) {
            self.metrics.used(Used {
                user: self.user.clone(),
                key: Arc::clone(&self.key),
                model: Arc::clone(&model),
                asked: Arc::clone(&self.requested_model),
                usage,
                usd: cost,
                estimated: self.estimated,
            });
            if let Some(lease) = &mut self.lease {
                lease.record_usage(Cost { tokens: usage.input.saturating_add(usage.output), usd: cost });
            }
        }
        let trace = self.spans.trace_id();
        self.spans.finish(RequestEnd {
            status: self.status.as_u16(),
            outcome: self.outcome.as_str(),
            is_ok: self.outcome == Outcome::Ok,
            llm: &model,
            usage: self.usage.filter(|_| !self.estimated),
        });
        tracing::info!(
            route = self.route,
            asked = &*self.requested_model,
            model = &*model,
            upstream = self.endpoint.as_ref().map_or("", |endpoint| &endpoint.upstream.config.name),
            key = &*self.key,
            user = self.user.as_deref(),
            decision = self.decision,
            user_state = self.user_state,
            fallback = self.fallback_reason,
            state = self.state,
            failed_attempts = self.failed_attempts,
            hedge = self.hedge,
            stream = self.streaming,
            status = self.status.as_u16(),
            outcome = self.outcome.as_str(),
            decision_us = self.decision_time.as_micros(),
            first_byte_ms = self.first_byte.as_millis(),
            total_ms = total.as_millis(),
            input_tokens = self.usage.map(|usage| usage.input),
            output_tokens = self.usage.map(|usage| usage.output),
            cost_usd = cost,
            usage_estimated = self.estimated,
            trace,
            "request finished"
        );
    }
}

/// Returns the price of `usage` in USD.
#[expect(clippy::cast_precision_loss, reason = "invariant: token counts stay far below 2^53")]
pub(super) fn usd(usage: Usage, offer: &ModelSpec) -> f64 {
    let cached = usage.cached.min(usage.input);
    let fresh = usage.input - cached;
    let prices = [(fresh, offer.input_price), (cached, offer.cached_input_price), (usage.output, offer.output_price)];
    prices.into_iter().map(|(tokens, price)| tokens as f64 * f64::from(price) / 1e6).sum()
}
