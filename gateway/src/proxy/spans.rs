//! What the spans of a request say, by OpenTelemetry's names for HTTP and for generative AI. Never the text of a prompt or
//! an answer, a key, or who the user is.

use std::time::Instant;

use http::HeaderValue;

use super::read::Inbound;
use crate::{
    api::{Usage, Wire},
    config::Kind as Provider,
    decide::{Degraded, Plan},
    telemetry::trace::{Attributes, Kind, Step, Trace},
    upstream::Endpoint,
};

/// The spans of a request; nothing for one that is not traced.
#[derive(Debug, Default)]
pub(super) struct Spans(Option<Box<Live>>);

#[derive(Debug)]
struct Live {
    trace: Trace,
    wire: Wire,
    scheme: &'static str,
    /// Of the request, whichever way it goes.
    request: Attributes,
    /// The attempts under way by their number; once one answers, that one alone.
    calls: Vec<(usize, Step)>,
    answers: bool,
    response_model: String,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) status: u16,
    pub(super) outcome: &'a str,
    pub(super) is_ok: bool,
    pub(super) llm: &'a str,
    pub(super) usage: Option<Usage>,
}

impl Spans {
    /// Returns the spans of a request in format `wire` that came over `scheme` and that `trace` follows.
    pub(super) fn new(trace: Option<Trace>, wire: Wire, scheme: &'static str) -> Self {
        let live = |trace| Live {
            trace,
            wire,
            scheme,
            request: Attributes::default(),
            calls: Vec::new(),
            answers: false,
            response_model: String::new(),
        };
        Self(trace.map(|trace| Box::new(live(trace))))
    }

    /// Returns whether anybody reads them.
    pub(super) fn is_live(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the trace's id for the log line; empty when there is none.
    pub(super) fn trace_id(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |live| live.trace.id())
    }

    /// Notes what was asked.
    pub(super) fn asked(&mut self, inbound: &Inbound<'_>) {
        let Some(live) = &mut self.0 else { return };
        live.request.text("gen_ai.operation.name", operation(live.wire));
        live.request.text("gen_ai.request.model", inbound.model.as_str());
        if let Some(most) = inbound.facts.max_tokens {
            live.request.number("gen_ai.request.max_tokens", most);
        }
    }

    /// Notes the decision, which began at `began`.
    pub(super) fn decided(&mut self, plan: &Plan, began: Instant) {
        let Some(live) = &mut self.0 else { return };
        let mut step = live.trace.step("decide", Kind::Internal, began);
        let known = &mut step.attributes;
        known.text("personaroute.decision", plan.id.as_str());
        known.text("personaroute.virtual_model", plan.virtual_model.as_deref().unwrap_or_default());
        known.text("personaroute.llm", plan.chosen().map_or("", |chosen| &chosen.llm));
        known.number("personaroute.candidates", plan.ranking.len());
        known.text("personaroute.user_state", plan.user_state.map_or("", |state| state.as_str()));
        // What the client asked for is no error.
        let failed = plan.degraded.filter(|reason| *reason != Degraded::Bypass);
        let reason = failed.map_or("", Degraded::as_str);
        known.text("error.type", reason);
        live.trace.end(step, !reason.is_empty());
    }

    /// Notes that `attempt` asks `endpoint`; returns the `traceparent` of the call.
    pub(super) fn calling(&mut self, attempt: usize, llm: &str, endpoint: &Endpoint) -> Option<HeaderValue> {
        let live = self.0.as_mut()?;
        let operation = operation(live.wire);
        let mut step = live.trace.step(format!("{operation} {}", endpoint.name), Kind::Client, Instant::now());
        let (known, config) = (&mut step.attributes, &endpoint.peer.config);
        known.text("gen_ai.operation.name", operation);
        known.text("gen_ai.provider.name", provider(config.kind));
        known.text("gen_ai.request.model", &*endpoint.name);
        if let Some(uri) = &config.base_url {
            known.text("server.address", uri.host().unwrap_or_default());
            let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            known.number("server.port", uri.port_u16().unwrap_or(usual));
        }
        known.text("personaroute.llm", llm);
        known.text("personaroute.upstream", config.name.as_str());
        let parent = HeaderValue::try_from(live.trace.parent_for(&step)).ok();
        live.calls.push((attempt, step));
        parent
    }

    /// Notes that `attempt` failed.
    pub(super) fn attempt_failed(&mut self, attempt: usize, reason: &str) {
        let Some(live) = &mut self.0 else { return };
        let Some(place) = live.calls.iter().position(|(number, _)| *number == attempt) else { return };
        let (_, mut step) = live.calls.swap_remove(place);
        if let Ok(status) = reason.parse::<u16>() {
            step.attributes.number("http.response.status_code", status);
        }
        step.attributes.text("error.type", reason);
        live.trace.end(step, true);
    }

    /// Notes that `attempt` has begun to answer, which ends all others: an earlier one was too slow, and a later one has
    /// only been overtaken.
    pub(super) fn answered(&mut self, attempt: usize) {
        let Some(live) = &mut self.0 else { return };
        live.answers = true;
        for (number, mut step) in std::mem::take(&mut live.calls) {
            if number == attempt {
                live.calls.push((number, step));
                continue;
            }
            let is_slow = number < attempt;
            match is_slow {
                true => step.attributes.text("error.type", "hedge_timeout"),
                false => step.attributes.text("personaroute.outcome", "hedge_cancelled"),
            }
            live.trace.end(step, is_slow);
        }
    }

    /// Notes which model the upstream says has answered.
    pub(super) fn answered_by(&mut self, model: Option<String>) {
        if let (Some(live), Some(model)) = (&mut self.0, model) {
            live.response_model = model;
        }
    }

    /// Ends the request.
    pub(super) fn finish(&mut self, end: End<'_>) {
        let Some(live) = self.0.take() else { return };
        let Live { mut trace, wire, scheme, mut request, calls, answers, response_model } = *live;
        let is_error = !end.is_ok;
        let error = if end.status >= 400 && end.outcome == "upstream_error" {
            end.status.to_string()
        } else {
            end.outcome.to_owned()
        };
        let answer = |known: &mut Attributes| {
            known.text("gen_ai.response.model", response_model.as_str());
            if let Some(usage) = end.usage {
                known.number("gen_ai.usage.input_tokens", usage.input);
                known.number("gen_ai.usage.output_tokens", usage.output);
                known.number("gen_ai.usage.cache_read.input_tokens", usage.cached);
            }
            if is_error {
                known.text("error.type", error.as_str());
            }
        };
        for (_, mut step) in calls {
            if answers {
                step.attributes.number("http.response.status_code", end.status);
                answer(&mut step.attributes);
            } else {
                // No upstream has begun to answer: the client left, or time was up.
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
        // A server's span fails for faults of the server, not of its client.
        trace.finish(name, request, is_error && end.status >= 500 || end.outcome == "cut");
    }
}

/// The conventions' well-known operations.
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
