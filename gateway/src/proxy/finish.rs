//! The last phase: one record for each request, told once, when the request ends in whatever way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Error, headers,
    read::Inbound,
    seat::{Opened, Target},
    spans::{End, Spans},
};
use crate::{
    api::Usage,
    decide::{Offer, Plan},
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
    Cut,
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
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
            Self::Refused(label) => label,
        }
    }
}

/// What is known of a request; dropped when it ends, and then logged and counted.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) started: Instant,
    route: &'static str,
    metrics: Arc<Metrics>,
    permit: Option<OwnedSemaphorePermit>,
    lease: Option<QuotaLease>,
    key: Arc<str>,
    user: Option<Arc<str>>,
    prompt_tokens: u64,
    estimated: bool,
    asked: Arc<str>,
    streaming: bool,
    decision: String,
    /// The LLM that was chosen.
    chosen: Option<Arc<str>>,
    /// Where the answer comes from, as far as is known.
    place: Option<Arc<Endpoint>>,
    /// Attempts that have neither failed nor been forgotten for another one's answer.
    under_way: usize,
    user_state: &'static str,
    degraded: &'static str,
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

impl Record {
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
            asked: Arc::default(),
            streaming: false,
            decision: String::new(),
            chosen: None,
            place: None,
            under_way: 0,
            user_state: "",
            degraded: "",
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

    /// Keeps the request's place among those in flight until it ends.
    pub(super) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// Notes what was asked.
    pub(super) fn asked(&mut self, inbound: &Inbound<'_>) {
        self.streaming = inbound.facts.stream;
        self.prompt_tokens = u64::from(inbound.facts.prompt_tokens());
        self.key = inbound.caller.name();
        self.user.clone_from(&inbound.user);
        self.spans.asked(inbound);
    }

    /// Holds the request's quotas until it ends; reports when its spending could not be persisted, or when the shared
    /// store did not answer.
    pub(super) fn charge(&mut self, lease: QuotaLease) {
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
    pub(super) fn decided(&mut self, plan: &Plan, explained: bool, began: Instant) {
        self.spans.decided(plan, began);
        self.chosen = plan.chosen().map(|chosen| Arc::clone(&chosen.llm));
        self.asked = plan.virtual_model.clone().or_else(|| self.chosen.clone()).unwrap_or_default();
        self.decision.clone_from(&plan.id);
        self.user_state = plan.user_state.map_or("", |state| state.as_str());
        self.degraded = plan.degraded.map_or("", |reason| reason.as_str());
        self.decision_time = plan.elapsed;
        if let Some(reason) = plan.degraded {
            headers::failed(&mut self.fallback, "router", reason.as_str());
        }
        if explained {
            self.explanation = headers::explanation(plan);
        }
        if plan.virtual_model.is_some() {
            self.metrics.decided(plan.elapsed, plan.degraded.map(|reason| reason.as_str()));
        }
    }

    /// Notes that `target` is asked to answer; returns the `traceparent` of the call when it is traced.
    pub(super) fn trying(&mut self, target: Target<'_>) -> Option<HeaderValue> {
        self.name(target.endpoint);
        self.under_way += 1;
        self.spans.calling(target.attempt, &target.endpoint.offer.llm, target.endpoint)
    }

    /// Names `endpoint` as where the answer comes from, as far as is known.
    fn name(&mut self, endpoint: &Arc<Endpoint>) {
        self.place = Some(Arc::clone(endpoint));
    }

    /// Notes that the attempt at `target` failed.
    pub(super) fn attempt_failed(&mut self, target: Target<'_>, reason: &str) {
        let llm = &target.endpoint.offer.llm;
        self.under_way = self.under_way.saturating_sub(1);
        self.failed_attempts += 1;
        self.metrics.attempt_failed(llm, reason);
        headers::failed(&mut self.fallback, llm, reason);
        self.spans.attempt_failed(target.attempt, reason);
    }

    /// Notes that another place is asked too, because the first is slow.
    pub(super) fn hedging(&mut self) {
        self.hedge = "failed";
    }

    /// Notes whether that other place was the one to answer.
    pub(super) fn hedged(&mut self, outcome: &'static str) {
        self.hedge = outcome;
    }

    /// Notes that an LLM was not asked because its upstream is left alone.
    pub(super) fn skipped(&mut self, llm: &str) {
        self.metrics.attempt_failed(llm, "circuit_open");
        headers::failed(&mut self.fallback, llm, "circuit_open");
    }

    /// Notes that an answer has begun, from `target`.
    pub(super) fn answered(&mut self, target: Target<'_>, opened: &Opened, first_byte: Duration) {
        self.name(target.endpoint);
        self.status = opened.head.status;
        self.first_byte = first_byte;
        self.metrics.answered(&target.endpoint.offer.llm, self.user_state, first_byte);
        self.spans.answered(target.attempt);
    }

    /// Notes that the refusal of `target` is the answer, although others may have been asked since.
    pub(super) fn refused_by_upstream(&mut self, target: Target<'_>, opened: &Opened) {
        self.name(target.endpoint);
        self.status = opened.head.status;
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the LLM that answers, if one does.
    pub(super) fn llm(&self) -> Option<Arc<str>> {
        self.named().filter(|_| self.status.is_success()).cloned()
    }

    /// Returns the LLM of the place that is named.
    fn named(&self) -> Option<&Arc<str>> {
        self.place.as_ref().map(|place| &place.offer.llm)
    }

    /// Returns whether the model that the upstream names is of use to anybody.
    pub(super) fn is_traced(&self) -> bool {
        self.spans.is_live()
    }

    /// Notes which model the upstream says has answered.
    pub(super) fn answered_by(&mut self, model: Option<String>) {
        self.spans.answered_by(model);
    }

    /// Notes tokens that the upstream counted.
    pub(super) fn counted(&mut self, usage: Usage) {
        self.usage = Some(self.usage.unwrap_or_default().merge(usage));
    }

    /// Notes an answer of about `output` tokens that the upstream did not count; an error costs nothing.
    pub(super) fn estimated(&mut self, output: u64) {
        if self.usage.is_none() && self.status.is_success() {
            self.estimated = true;
            self.usage = Some(Usage { input: self.prompt_tokens, cached: 0, output });
        }
    }

    /// Notes that the answer broke off after about `output` tokens: what upstreams count before its end is less.
    pub(super) fn broke_off(&mut self, output: u64) {
        if let Some(usage) = self.usage.as_mut().filter(|usage| usage.output < output) {
            usage.output = output;
            self.estimated = true;
        }
    }

    /// Adds the headers that tell how the answer came about.
    pub(super) fn tell(&self, told: &mut HeaderMap) {
        headers::set(told, headers::DECISION, &self.decision);
        let model = self.named().or(self.chosen.as_ref());
        headers::set(told, headers::MODEL, model.map_or("", |model| model));
        headers::set(told, headers::USER_STATE, self.user_state);
        headers::set(told, headers::FALLBACK, &self.fallback);
        headers::set(told, headers::EXPLAIN, &self.explanation);
        // A second place that was asked in vain is told in `fallback`.
        if self.hedge != "failed" {
            headers::set(told, headers::HEDGE, self.hedge);
        }
    }

    /// Ends the record: the answer went out.
    pub(super) fn finish(&mut self) {
        self.outcome = if self.status.is_success() { Outcome::Ok } else { Outcome::UpstreamError };
    }

    /// Ends the record: the upstream cut its answer.
    pub(super) fn cut(&mut self) {
        self.outcome = Outcome::Cut;
    }

    /// Ends the record with `error`; adds the headers that tell how it came about.
    pub(super) fn refuse(mut self, error: &Error, told: &mut HeaderMap) {
        if matches!(error, Error::Timeout) {
            self.given_up();
        }
        // It was given up on, though the attempt has ended.
        if matches!(error, Error::Upstream(Failure::FirstByte)) && self.place.is_some() {
            self.estimated(0);
        }
        self.status = error.status();
        self.outcome = Outcome::Refused(error.label());
        self.tell(told);
    }

    /// Notes that nobody waits any more for an answer that has not begun: its prompt was sent, and upstreams charge for
    /// those.
    fn given_up(&mut self) {
        if self.under_way > 0 {
            self.estimated(0);
        }
    }

    /// USD of the tokens the upstream counted.
    fn cost(&self) -> Option<f64> {
        Some(usd(self.usage?, &self.place.as_ref()?.offer))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.hedge.is_empty() {
            self.metrics.hedged(self.hedge);
        }
        let total = self.started.elapsed();
        if self.outcome == Outcome::ClientGone {
            self.given_up();
        }
        // Where nobody was asked, nobody answers.
        let model = self.named().cloned().unwrap_or_default();
        self.metrics.ended(self.route, &self.asked, self.outcome.as_str(), total);
        let cost = self.cost();
        if let (Some(usage), Some(cost)) = (self.usage, cost) {
            self.metrics.used(Used {
                user: self.user.clone(),
                key: Arc::clone(&self.key),
                model: Arc::clone(&model),
                asked: Arc::clone(&self.asked),
                usage,
                usd: cost,
                estimated: self.estimated,
            });
            if let Some(lease) = &mut self.lease {
                lease.record_usage(Cost { tokens: usage.input.saturating_add(usage.output), usd: cost });
            }
        }
        let trace = self.spans.trace_id();
        self.spans.finish(End {
            status: self.status.as_u16(),
            outcome: self.outcome.as_str(),
            is_ok: self.outcome == Outcome::Ok,
            llm: &model,
            usage: self.usage.filter(|_| !self.estimated),
        });
        tracing::info!(
            route = self.route,
            asked = &*self.asked,
            model = &*model,
            upstream = self.place.as_ref().map_or("", |place| &place.peer.config.name),
            key = &*self.key,
            user = self.user.as_deref(),
            decision = self.decision,
            user_state = self.user_state,
            fallback = self.degraded,
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
pub(super) fn usd(usage: Usage, offer: &Offer) -> f64 {
    let cached = usage.cached.min(usage.input);
    let fresh = usage.input - cached;
    let prices = [(fresh, offer.input_price), (cached, offer.cached_input_price), (usage.output, offer.output_price)];
    prices.into_iter().map(|(tokens, price)| tokens as f64 * f64::from(price) / 1e6).sum()
}
