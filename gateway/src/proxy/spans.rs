//! The spans of one request, with OpenTelemetry's attribute names for HTTP and generative AI. They never contain the text of
//! a prompt or response, a key or a user.

use std::time::Instant;

use http::HeaderValue;

use super::read::ParsedRequest;
use crate::{
    api::{Usage, Wire},
    config::Kind as Provider,
    decide::{FallbackReason, Plan},
    telemetry::trace::{Attributes, Kind, Step, Trace},
    upstream::Endpoint,
};

/// The spans of a request; empty if it is not traced.
#[derive(Debug, Default)]
pub(super) struct Spans(Option<Box<TracedRequest>>);

#[derive(Debug)]
struct TracedRequest {
    trace: Trace,
    wire: Wire,
    scheme: &'static str,
    /// The attributes of the request span.
    request: Attributes,
    /// The spans of attempts in flight, by number; once a response starts, only its own.
    attempts: Vec<(usize, Step)>,
    answers: bool,
    response_model: String,
}

/// The final facts of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestEnd<'a> {
    pub(super) status: u16,
    pub(super) outcome: &'a str,
    pub(super) is_ok: bool,
    pub(super) llm: &'a str,
    pub(super) usage: Option<Usage>,
}

impl Spans {
    /// Returns the spans of a request in format `wire` over `scheme`; empty without `trace`.
    pub(super) fn new(trace: Option<Trace>, wire: Wire, scheme: &'static str) -> Self {
        let traced = |trace| TracedRequest {
            trace,
            wire,
            scheme,
            request: Attributes::default(),
            attempts: Vec::new(),
            answers: false,
            response_model: String::new(),
        };
        Self(trace.map(|trace| Box::new(traced(trace))))
    }

    /// Returns whether the request is traced.
    pub(super) fn is_traced(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the trace id for the log line; empty if the request is not traced.
    pub(super) fn trace_id(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |traced| traced.trace.id())
    }

    /// Records the parsed request.
    pub(super) fn record_request(&mut self, request: &ParsedRequest<'_>) {
        let Some(traced) = &mut self.0 else { return };
        traced.request.text("gen_ai.operation.name", operation(traced.wire));
        traced.request.text("gen_ai.request.model", request.model.as_str());
        if let Some(most) = request.facts.max_tokens {
            traced.request.number("gen_ai.request.max_tokens", most);
        }
    }

    /// Records the decision, which started at `started`.
    pub(super) fn record_decision(&mut self, plan: &Plan, started: Instant) {
        let Some(traced) = &mut self.0 else { return };
        let mut step = traced.trace.step("decide", Kind::Internal, started);
        let attributes = &mut step.attributes;
        attributes.text("personaroute.decision", plan.id.as_str());
        attributes.text("personaroute.virtual_model", plan.virtual_model.as_deref().unwrap_or_default());
        attributes.text("personaroute.llm", plan.chosen().map_or("", |chosen| &chosen.llm));
        attributes.number("personaroute.candidates", plan.ranking.len());
        attributes.text("personaroute.user_state", plan.user_state.map_or("", |state| state.as_str()));
        // A bypass that the client requested is not an error.
        let failed = plan.fallback_reason.filter(|reason| *reason != FallbackReason::Bypass);
        let reason = failed.map_or("", FallbackReason::as_str);
        attributes.text("error.type", reason);
        traced.trace.end(step, !reason.is_empty());
    }

    /// Starts the span of `attempt` at `endpoint`; returns the `traceparent` of its request.
    pub(super) fn start_attempt(&mut self, attempt: usize, llm: &str, endpoint: &Endpoint) -> Option<HeaderValue> {
        let traced = self.0.as_mut()?;
        let operation = operation(traced.wire);
        let mut step = traced.trace.step(format!("{operation} {}", endpoint.name), Kind::Client, Instant::now());
        let (attributes, config) = (&mut step.attributes, &endpoint.upstream.config);
        attributes.text("gen_ai.operation.name", operation);
        attributes.text("gen_ai.provider.name", provider(config.kind));
        attributes.text("gen_ai.request.model", &*endpoint.name);
        if let Some(uri) = &config.base_url {
            attributes.text("server.address", uri.host().unwrap_or_default());
            let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            attributes.number("server.port", uri.port_u16().unwrap_or(usual));
        }
        attributes.text("personaroute.llm", llm);
        attributes.text("personaroute.upstream", config.name.as_str());
        let parent = HeaderValue::try_from(traced.trace.parent_for(&step)).ok();
        traced.attempts.push((attempt, step));
        parent
    }

    /// Ends the span of `attempt` with an error.
    pub(super) fn attempt_failed(&mut self, attempt: usize, reason: &str) {
        let Some(traced) = &mut self.0 else { return };
        let Some(position) = traced.attempts.iter().position(|(number, _)| *number == attempt) else { return };
        let (_, mut step) = traced.attempts.swap_remove(position);
        if let Ok(status) = reason.parse::<u16>() {
            step.attributes.number("http.response.status_code", status);
        }
        step.attributes.text("error.type", reason);
        traced.trace.end(step, true);
    }

    /// Records that the response of `attempt` started, which ends the other attempts: an earlier one was too slow, and a later
    /// one was a hedge that is cancelled.
    pub(super) fn response_started(&mut self, attempt: usize) {
        let Some(traced) = &mut self.0 else { return };
        traced.answers = true;
        for (number, mut step) in std::mem::take(&mut traced.attempts) {
            if number == attempt {
                traced.attempts.push((number, step));
                continue;
            }
            let is_slow = number < attempt;
            match is_slow {
                true => step.attributes.text("error.type", "hedge_timeout"),
                false => step.attributes.text("personaroute.outcome", "hedge_cancelled"),
            }
            traced.trace.end(step, is_slow);
        }
    }

    /// Records the model name in the response.
    pub(super) fn set_response_model(&mut self, model: Option<String>) {
        if let (Some(traced), Some(model)) = (&mut self.0, model) {
            traced.response_model = model;
        }
    }

    /// Ends all spans of the request.
    pub(super) fn finish(&mut self, end: RequestEnd<'_>) {
        let Some(traced) = self.0.take() else { return };
        let TracedRequest { mut trace, wire, scheme, mut request, attempts, answers, response_model } = *traced;
        let is_error = !end.is_ok;
        let error = if end.status >= 400 && end.outcome == "upstream_error" {
            end.status.to_string()
        } else {
            end.outcome.to_owned()
        };
        let answer = |attributes: &mut Attributes| {
            attributes.text("gen_ai.response.model", response_model.as_str());
            if let Some(usage) = end.usage {
                attributes.number("gen_ai.usage.input_tokens", usage.input);
                attributes.number("gen_ai.usage.output_tokens", usage.output);
                attributes.number("gen_ai.usage.cache_read.input_tokens", usage.cached);
            }
            if is_error {
                attributes.text("error.type", error.as_str());
            }
        };
        for (_, mut step) in attempts {
            if answers {
                step.attributes.number("http.response.status_code", end.status);
                answer(&mut step.attributes);
            } else {
                // No response started: the client disconnected, or a deadline passed.
                step.attributes.text("error.type", error.as_str());
            }
            trace.end(step, is_error);
        }
        let route = format!("/v1{}", wire.suffix());
        let name = format!("POST {route}");
        request.text("http.request.method", "POST");
        request.text("url.scheme", scheme);
        request.text("url.path", route.as_str());
        request.text("http.route", route);
        request.number("http.response.status_code", end.status);
        request.text("personaroute.llm", end.llm);
        request.text("personaroute.outcome", end.outcome);
        answer(&mut request);
        // A server span is an error only if the server caused it.
        trace.finish(name, request, is_error && end.status >= 500 || end.outcome == "truncated");
    }
}

/// Returns the operation name of the semantic conventions.
fn operation(wire: Wire) -> &'static str {
    match wire {
        Wire::Chat | Wire::Responses | Wire::Messages => "chat",
        Wire::Completions => "text_completion",
        Wire::Embeddings => "embeddings",
    }
}

fn provider(kind: Provider) -> &'static str {
    match kind {
        Provider::Openai => "openai",
        Provider::Anthropic => "anthropic",
        Provider::Simulated => "personaroute.simulated",
    }
}
