//! The table of failures: whether another endpoint may serve the request, and whose health a response speaks about.
//!
//! A response speaks about its endpoint (one LLM at one upstream) only: an LLM that fails must not close the other LLMs of its
//! upstream. Connection failures and timeouts speak about the upstream.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::{api::error_code, config::Config};

/// What a response with an error status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the request fails over to another endpoint.
    pub(super) fails_over: bool,
    /// What it says about the health of its endpoint.
    pub(super) health: Health,
}

/// What a response says about the health of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It works.
    Healthy,
    /// The request was at fault: nothing.
    Unknown,
    /// One more failure; as many as `breaker.failures` open the circuit, or one for as long as the upstream asks.
    Failed,
    /// The circuit opens at once, for this long or as long as the upstream asks.
    Rests(Duration),
}

/// Returns the verdict on a response with `status` and, of a client error, the first bytes of its `body`. `has_our_key` is
/// whether the upstream was called with the operator's key.
pub(super) fn verdict(status: StatusCode, body: &[u8], has_our_key: bool, config: &Config) -> Verdict {
    let cooldown = config.breaker.cooldown;
    let is_retried = config.retry.statuses.contains(&status.as_u16());
    let (fails_over, health) = match status.as_u16() {
        200..=299 => (false, Health::Healthy),
        // The operator's key or account is at fault, which other requests will meet as well.
        401..=403 if has_our_key => (true, Health::Rests(cooldown)),
        // The upstream does not know the model.
        404 if has_our_key => (true, Health::Rests(cooldown)),
        408 | 429 => (true, Health::Rests(cooldown)),
        400 | 413 | 422 if is_about_the_llm(body) => (true, Health::Unknown),
        // A `retry-after` opens the circuit at once, too.
        500..=599 => (is_retried, Health::Failed),
        _ => (is_retried, Health::Unknown),
    };
    Verdict { fails_over, health }
}

/// Codes of errors that another LLM may not have, in OpenAI's dialect; those about the context window are in `error_code`.
const CODES: [&str; 3] = ["unsupported_parameter", "unsupported_value", "model_not_found"];

/// Words of errors that another LLM may not have, in lower case.
const WORDS: [&str; 9] = [
    "max_tokens is too large",
    "maximum output",
    "output limit",
    "max_tokens:",
    "unsupported parameter",
    "is not supported with this model",
    "does not support",
    "not supported by this model",
    "extra inputs are not permitted",
];

/// Returns whether the error object `body` is about the LLM's limits or features rather than about the request.
fn is_about_the_llm(body: &[u8]) -> bool {
    let Ok(written) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let error = written.get("error").unwrap_or(&written);
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let (message, code) = (text("message").to_ascii_lowercase(), text("code"));
    error_code::is_context_overflow(&message, Some(code))
        || CODES.contains(&code)
        || WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let text = "version: 1\nupstreams: [{name: u, kind: simulated}]\nmodels: [{llm: a, upstream: u, input_price: 1, output_price: 1}]";
        crate::config::parse(Path::new("f.yaml"), text, &|_| None).unwrap().config
    }

    fn of(status: u16, body: &str, has_our_key: bool) -> (bool, Health) {
        let status = StatusCode::from_u16(status).unwrap();
        let verdict = verdict(status, body.as_bytes(), has_our_key, &config());
        (verdict.fails_over, verdict.health)
    }

    #[test]
    fn the_operators_key_is_blamed_and_a_clients_own_is_not() {
        for status in [401, 402, 403, 404] {
            assert!(matches!(of(status, "", true), (true, Health::Rests(_))), "{status}");
            assert_eq!(of(status, "", false), (false, Health::Unknown), "{status}");
        }
    }

    #[test]
    fn overload_rests_the_endpoint_and_server_errors_count() {
        for status in [408, 429] {
            assert!(matches!(of(status, "", true), (true, Health::Rests(_))), "{status}");
        }
        for status in [500, 503, 529] {
            assert_eq!(of(status, "", true), (true, Health::Failed), "{status}");
        }
        assert_eq!(of(501, "", true), (false, Health::Failed));
    }

    #[test]
    fn a_refusal_about_the_llm_moves_on_and_one_about_the_request_does_not() {
        for body in [
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens"}}"#,
            r#"{"error":{"message":"Unsupported parameter: 'temperature'","code":"unsupported_parameter"}}"#,
        ] {
            assert_eq!(of(400, body, true), (true, Health::Unknown), "{body}");
        }
        let own = r#"{"error":{"message":"messages: at least one message is required"}}"#;
        assert_eq!(of(400, own, true), (false, Health::Unknown));
        assert_eq!(of(400, "<html>", true), (false, Health::Unknown));
    }
}
