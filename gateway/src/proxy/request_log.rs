//! The log of one request: it records every phase, and on drop reports the request once to metrics, spans and the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Error,
    attempt::{Attempt, UpstreamResponse},
    attempts::{Attempts, Hedge},
    billing::Billing,
    decision_summary::DecisionSummary,
    knowledge::Knowledge,
    outcome::Outcome,
    read::ParsedRequest,
    routing_headers::RoutingHeaders,
    spans::{RequestEnd, Spans},
};
use crate::{
    api::Usage,
    decide::Plan,
    state::QuotaLease,
    telemetry::{Metrics, Used, UserIds},
    upstream::Failure,
};

/// The log of one request. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct RequestLog {
    /// When the request started.
    pub(super) started: Instant,
    route: &'static str,
    metrics: Arc<Metrics>,
    /// The request's slot of `limits.requests`.
    permit: Option<OwnedSemaphorePermit>,
    key: Arc<str>,
    user: Option<Arc<str>>,
    /// How the log line shows the user.
    user_ids: UserIds,
    is_streaming: bool,
    decision: DecisionSummary,
    attempts: Attempts,
    billing: Billing,
    headers: RoutingHeaders,
    /// The failures of the spending store.
    store_failures: &'static str,
    status: StatusCode,
    outcome: Outcome,
    spans: Spans,
}

impl RequestLog {
    /// Returns the log of a request that starts now.
    pub(super) fn begin(route: &'static str, metrics: Arc<Metrics>, user_ids: UserIds, spans: Spans) -> Self {
        metrics.began();
        Self {
            started: Instant::now(),
            route,
            metrics,
            permit: None,
            key: Arc::default(),
            user: None,
            user_ids,
            is_streaming: false,
            decision: DecisionSummary::default(),
            attempts: Attempts::default(),
            billing: Billing::default(),
            headers: RoutingHeaders::default(),
            store_failures: "",
            status: StatusCode::OK,
            // Stays if the log is dropped early, because the client disconnected.
            outcome: Outcome::ClientGone,
            spans,
        }
    }

    /// Holds the request's slot until the request ends.
    pub(super) fn hold_permit(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// Records the parsed request.
    pub(super) fn record_request(&mut self, request: &ParsedRequest<'_>) {
        self.is_streaming = request.facts.stream;
        self.billing.set_prompt_tokens(u64::from(request.facts.prompt_tokens()));
        self.key = request.caller.name();
        self.user.clone_from(&request.user);
        self.spans.record_request(request);
    }

    /// Holds the request's quotas until it ends; reports when its spending could not be persisted, or when the shared
    /// store did not answer.
    pub(super) fn hold_reservation(&mut self, lease: QuotaLease) {
        self.store_failures = match (lease.is_persist_failed(), lease.is_store_unavailable()) {
            (false, false) => "",
            (true, false) => "persist_failed",
            (false, true) => "store_unavailable",
            (true, true) => "persist_failed, store_unavailable",
        };
        for reason in self.store_failures.split(", ").filter(|reason| !reason.is_empty()) {
            self.metrics.state_failed(reason);
            self.headers.push_failure("state", reason);
        }
        self.billing.hold(lease);
    }

    /// Records the decision, which started at `started`; `explain` is whether the response explains it.
    pub(super) fn record_decision(&mut self, plan: &Plan, explain: bool, started: Instant) {
        self.spans.record_decision(plan, started);
        self.decision = DecisionSummary::of(plan);
        if let Some(reason) = plan.fallback_reason {
            self.headers.push_failure("router", reason.as_str());
        }
        if explain {
            self.headers.explain(plan);
        }
        if plan.virtual_model.is_some() {
            self.metrics.decided(plan.elapsed, plan.fallback_reason.map(|reason| reason.as_str()));
        }
    }

    /// Records what is known of the user, and what failed on the way to it.
    pub(super) fn record_knowledge(&mut self, knowledge: &Knowledge) {
        if let Some(reason) = knowledge.failure() {
            self.headers.push_failure("learning", reason);
        }
    }

    /// Records that `attempt` starts; returns the `traceparent` of its request if it is traced.
    pub(super) fn start_attempt(&mut self, attempt: Attempt<'_>) -> Option<HeaderValue> {
        self.attempts.start(attempt.endpoint);
        self.spans.start_attempt(attempt.number, &attempt.endpoint.spec.llm, attempt.endpoint)
    }

    /// Records that `attempt` failed.
    pub(super) fn attempt_failed(&mut self, attempt: Attempt<'_>, reason: &str) {
        let llm = &attempt.endpoint.spec.llm;
        self.attempts.fail();
        self.metrics.attempt_failed(llm, reason);
        self.headers.push_failure(llm, reason);
        self.spans.attempt_failed(attempt.number, reason);
    }

    /// Records that an endpoint of `llm` was skipped because its circuit is open.
    pub(super) fn endpoint_skipped(&mut self, llm: &str) {
        self.metrics.attempt_failed(llm, "circuit_open");
        self.headers.push_failure(llm, "circuit_open");
    }

    /// Records how the hedge ended, so far.
    pub(super) fn record_hedge(&mut self, hedge: Hedge) {
        self.attempts.set_hedge(hedge);
    }

    /// Records that the response of `attempt` started and is returned.
    pub(super) fn response_started(&mut self, attempt: Attempt<'_>, response: &UpstreamResponse, first_byte: Duration) {
        self.attempts.select(attempt.endpoint);
        self.attempts.set_first_byte(first_byte);
        self.status = response.head.status;
        self.metrics.answered(&attempt.endpoint.spec.llm, self.decision.user_state, first_byte);
        self.spans.response_started(attempt.number);
    }

    /// Records that the error response of `attempt` is returned, although others may have been tried after it.
    pub(super) fn error_response_returned(&mut self, attempt: Attempt<'_>, response: &UpstreamResponse) {
        self.attempts.select(attempt.endpoint);
        self.status = response.head.status;
    }

    /// Returns the status of the response.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the LLM that answered successfully, if one did.
    pub(super) fn answering_llm(&self) -> Option<Arc<str>> {
        self.llm().filter(|_| self.status.is_success()).cloned()
    }

    /// Returns whether the request is traced.
    pub(super) fn is_traced(&self) -> bool {
        self.spans.is_traced()
    }

    /// Records the model name in the response, for the spans.
    pub(super) fn set_response_model(&mut self, model: Option<String>) {
        self.spans.set_response_model(model);
    }

    /// Records usage that the upstream reported.
    pub(super) fn record_usage(&mut self, usage: Usage) {
        self.billing.record(usage);
    }

    /// Estimates the usage of a response of about `output` tokens that reported none. Error responses cost nothing.
    pub(super) fn estimate_usage(&mut self, output: u64) {
        if self.status.is_success() {
            self.billing.estimate(output);
        }
    }

    /// Records that the response was truncated after about `output` tokens.
    pub(super) fn raise_output(&mut self, output: u64) {
        self.billing.raise_output(output);
    }

    /// Adds the `x-personaroute-*` headers to a response.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap) {
        self.headers.write(headers, &self.decision, self.llm().map(|llm| &**llm), self.attempts.hedge());
    }

    /// Records that the response completed.
    pub(super) fn completed(&mut self) {
        self.outcome = if self.status.is_success() { Outcome::Ok } else { Outcome::UpstreamError };
    }

    /// Records that the response was truncated.
    pub(super) fn truncated(&mut self) {
        self.outcome = Outcome::Truncated;
    }

    /// Ends the request with `error`, and adds the `x-personaroute-*` headers to its response.
    pub(super) fn fail(mut self, error: &Error, headers: &mut HeaderMap) {
        if matches!(error, Error::Timeout) {
            self.charge_abandoned_prompt();
        }
        // The attempt has ended, but the upstream received the prompt.
        if matches!(error, Error::Upstream(Failure::FirstByte)) && self.attempts.endpoint().is_some() {
            self.estimate_usage(0);
        }
        self.status = error.status();
        self.outcome = Outcome::Error(error.label());
        self.write_headers(headers);
    }

    /// Estimates the usage of an attempt that is abandoned before its response starts: upstreams charge for its prompt.
    fn charge_abandoned_prompt(&mut self) {
        if self.attempts.is_waiting() {
            self.estimate_usage(0);
        }
    }

    /// Returns the LLM of the response, or else of the last attempt.
    fn llm(&self) -> Option<&Arc<str>> {
        self.attempts.endpoint().map(|endpoint| &endpoint.spec.llm)
    }

    /// Charges the request's usage to its quotas and reports it to metrics; returns its price in USD.
    fn charge(&mut self) -> Option<f64> {
        let spec = &self.attempts.endpoint()?.spec;
        let usd = self.billing.charge(spec)?;
        self.metrics.used(Used {
            user: self.user.clone(),
            key: Arc::clone(&self.key),
            model: Arc::clone(&spec.llm),
            requested_model: Arc::clone(&self.decision.requested_model),
            usage: self.billing.usage()?,
            usd,
            estimated: self.billing.is_estimated(),
        });
        Some(usd)
    }

    fn finish_spans(&mut self) {
        let llm = self.attempts.endpoint().map_or("", |endpoint| &*endpoint.spec.llm);
        self.spans.finish(RequestEnd {
            status: self.status.as_u16(),
            outcome: self.outcome.as_str(),
            is_ok: self.outcome == Outcome::Ok,
            llm,
            usage: self.billing.reported_usage(),
        });
    }

    fn write_log_line(&self, elapsed: Duration, cost_usd: Option<f64>, trace: &str) {
        let usage = self.billing.usage();
        tracing::info!(
            route = self.route,
            requested_model = &*self.decision.requested_model,
            model = self.llm().map_or("", |llm| llm),
            upstream = self.attempts.endpoint().map_or("", |endpoint| &endpoint.upstream.config.name),
            key = &*self.key,
            // Hashed only if the line is written.
            user = self.user.as_deref().map(|user| self.user_ids.logged(user)),
            decision = self.decision.id,
            user_state = self.decision.user_state,
            fallback = self.decision.fallback_reason,
            state = self.store_failures,
            failed_attempts = self.attempts.failed(),
            hedge = self.attempts.hedge().map_or("", Hedge::as_str),
            stream = self.is_streaming,
            status = self.status.as_u16(),
            outcome = self.outcome.as_str(),
            decision_us = self.decision.elapsed.as_micros(),
            first_byte_ms = self.attempts.first_byte().as_millis(),
            total_ms = elapsed.as_millis(),
            input_tokens = usage.map(|usage| usage.input),
            output_tokens = usage.map(|usage| usage.output),
            cost_usd,
            usage_estimated = self.billing.is_estimated(),
            trace,
            "request finished"
        );
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        if self.outcome == Outcome::ClientGone {
            self.charge_abandoned_prompt();
        }
        if let Some(hedge) = self.attempts.hedge() {
            self.metrics.hedged(hedge.as_str());
        }
        self.metrics.ended(self.route, &self.decision.requested_model, self.outcome.as_str(), elapsed);
        let cost_usd = self.charge();
        let trace = self.spans.trace_id();
        self.finish_spans();
        self.write_log_line(elapsed, cost_usd, &trace);
    }
}
