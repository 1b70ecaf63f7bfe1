//! The `x-personaroute-*` headers of a response: which LLM answered, and what failed before.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{attempts::Hedge, decision_summary::DecisionSummary};
use crate::decide::{Plan, explain};

/// The id of the decision.
const DECISION: HeaderName = HeaderName::from_static("x-personaroute-decision");

/// The LLM that answered.
const MODEL: HeaderName = HeaderName::from_static("x-personaroute-model");

/// How much the router knows about the user.
const USER_STATE: HeaderName = HeaderName::from_static("x-personaroute-user-state");

/// The number of signals that have shaped the user's profile.
const SIGNALS: HeaderName = HeaderName::from_static("x-personaroute-signals");

/// What failed before the response, in order.
const FALLBACK: HeaderName = HeaderName::from_static("x-personaroute-fallback");

/// The explanation of the decision, on request.
const EXPLAIN: HeaderName = HeaderName::from_static("x-personaroute-explain");

/// Whether the hedged second attempt was the faster one.
const HEDGE: HeaderName = HeaderName::from_static("x-personaroute-hedge");

/// Most candidates in the explanation, which keeps it below common limits of header size.
const MAX_EXPLAINED: usize = 20;

/// The parts of the headers that are collected while a request runs.
#[derive(Debug, Default)]
pub(super) struct RoutingHeaders {
    failures: String,
    explanation: String,
}

impl RoutingHeaders {
    /// Adds `what=reason` to the list of failures. Texts that a header cannot contain are skipped.
    pub(super) fn push_failure(&mut self, what: &str, reason: &str) {
        let is_valid = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
        if is_valid(what) && is_valid(reason) {
            let comma = if self.failures.is_empty() { "" } else { ", " };
            self.failures.extend([comma, what, "=", reason]);
        }
    }

    /// Sets the explanation of `plan`.
    pub(super) fn explain(&mut self, plan: &Plan) {
        let json = serde_json::to_string(&explain::explain(plan, MAX_EXPLAINED));
        self.explanation = json.map_or_else(|_| String::new(), |json| escape_non_ascii(&json));
    }

    /// Writes all headers of a response from `model`, or from the chosen LLM if no attempt was made.
    pub(super) fn write(
        &self,
        headers: &mut HeaderMap,
        decision: &DecisionSummary,
        model: Option<&str>,
        hedge: Option<Hedge>,
    ) {
        set(headers, DECISION, &decision.id);
        set(headers, MODEL, model.or(decision.chosen.as_deref()).unwrap_or_default());
        set(headers, USER_STATE, decision.user_state);
        if decision.signals > 0 {
            headers.insert(SIGNALS, HeaderValue::from(decision.signals));
        }
        set(headers, FALLBACK, &self.failures);
        set(headers, EXPLAIN, &self.explanation);
        // The list of failures already contains a hedge that failed.
        set(headers, HEDGE, hedge.filter(|hedge| *hedge != Hedge::Failed).map_or("", Hedge::as_str));
    }
}

/// Sets `name` to `text`, unless it is empty or contains bytes that a header cannot.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if !text.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(text.as_bytes())
    {
        headers.insert(name, value);
    }
}

/// Escapes characters outside ASCII in JSON strings, so that every client can read the header.
fn escape_non_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for unit in json.chars() {
        if unit.is_ascii() {
            ascii.push(unit);
            continue;
        }
        for half in unit.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{half:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_listed_in_order_without_texts_that_a_header_cannot_contain() {
        let mut routing = RoutingHeaders::default();
        routing.push_failure("a", "500");
        routing.push_failure("a\nb", "500");
        routing.push_failure("é", "connect");
        let mut headers = HeaderMap::new();
        routing.write(&mut headers, &DecisionSummary::default(), None, Some(Hedge::Failed));
        assert_eq!((headers[FALLBACK].as_bytes(), headers.len()), ("a=500, é=connect".as_bytes(), 1));
    }

    #[test]
    fn explanations_are_ascii() {
        assert_eq!(escape_non_ascii("{\"why\":\"é😀\"}"), "{\"why\":\"\\u00e9\\ud83d\\ude00\"}");
    }
}
