//! The table of failures: whether another endpoint may serve the request, and whose health a response speaks about.
//!
//! A response speaks about its endpoint (one LLM at one upstream) only: an LLM that fails must not close the other LLMs of its
//! upstream. Connection failures and timeouts speak about the upstream.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::{api::error_code, config::Config, upstream::Failure};

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

/// One row of the table.
struct Rule {
    /// The first and the last status.
    statuses: (u16, u16),
    applies: Condition,
    fails_over: FailsOver,
    /// What it says about the health of the endpoint.
    blames: Blame,
}

/// When a row applies, beside its statuses.
enum Condition {
    Always,
    /// The upstream was called with the operator's key, so that other requests will meet the same.
    OperatorsKey,
    /// The error object names a limit or a feature of the LLM, which another one may have.
    AboutTheLlm,
}

/// Whether the request fails over.
enum FailsOver {
    Always,
    Never,
    /// If `retry.statuses` lists the status.
    IfListed,
}

/// Whose health a row speaks about.
enum Blame {
    Nobody,
    /// The endpoint works.
    Works,
    /// One failure of the endpoint, or an open circuit for as long as `retry-after` asks.
    OneFailure,
    /// The endpoint's circuit opens for `breaker.cooldown`, or for as long as `retry-after` asks.
    Rest,
}

const fn rule(statuses: (u16, u16), applies: Condition, fails_over: FailsOver, blames: Blame) -> Rule {
    Rule { statuses, applies, fails_over, blames }
}

/// The table: the first row that applies is the verdict.
const RULES: [Rule; 9] = [
    rule((200, 299), Condition::Always, FailsOver::Never, Blame::Works),
    rule((401, 404), Condition::OperatorsKey, FailsOver::Always, Blame::Rest),
    rule((408, 408), Condition::Always, FailsOver::Always, Blame::Rest),
    rule((429, 429), Condition::Always, FailsOver::Always, Blame::Rest),
    rule((400, 400), Condition::AboutTheLlm, FailsOver::Always, Blame::Nobody),
    rule((413, 413), Condition::AboutTheLlm, FailsOver::Always, Blame::Nobody),
    rule((422, 422), Condition::AboutTheLlm, FailsOver::Always, Blame::Nobody),
    rule((500, 599), Condition::Always, FailsOver::IfListed, Blame::OneFailure),
    rule((100, 999), Condition::Always, FailsOver::IfListed, Blame::Nobody),
];

/// Returns the verdict on a response with `status` and, of a client error, the first bytes of its `body`. `has_our_key` is
/// whether the upstream was called with the operator's key.
pub(super) fn verdict(status: StatusCode, body: &[u8], has_our_key: bool, config: &Config) -> Verdict {
    let code = status.as_u16();
    let applies = |rule: &&Rule| {
        let is_within = (rule.statuses.0..=rule.statuses.1).contains(&code);
        is_within
            && match rule.applies {
                Condition::Always => true,
                Condition::OperatorsKey => has_our_key,
                Condition::AboutTheLlm => is_about_the_llm(body),
            }
    };
    let Some(rule) = RULES.iter().find(applies) else {
        return Verdict { fails_over: false, health: Health::Unknown };
    };
    let fails_over = match rule.fails_over {
        FailsOver::Always => true,
        FailsOver::Never => false,
        FailsOver::IfListed => config.retry.statuses.contains(&code),
    };
    let health = match rule.blames {
        Blame::Nobody => Health::Unknown,
        Blame::Works => Health::Healthy,
        Blame::OneFailure => Health::Failed,
        Blame::Rest => Health::Rests(config.breaker.cooldown),
    };
    Verdict { fails_over, health }
}

/// Whose health an attempt without a usable response speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole upstream.
    Upstream,
    /// This LLM at this upstream.
    Endpoint,
    /// Neither: the request cannot be sent.
    Nobody,
}

/// Returns whose health `failure` speaks about. Every failure fails over.
pub(super) fn scope(failure: &Failure) -> Scope {
    match failure {
        Failure::Connect(_) | Failure::Closed(_) | Failure::FirstByte => Scope::Upstream,
        Failure::Unreadable | Failure::Redirect => Scope::Endpoint,
        Failure::Unsupported | Failure::Request(_) => Scope::Nobody,
    }
}

/// Returns the tables as a page of documentation.
pub fn markdown() -> String {
    let rules: String = RULES.iter().map(Rule::markdown).collect();
    let failures = [
        Failure::Connect("".into()),
        Failure::Closed("".into()),
        Failure::FirstByte,
        Failure::Unreadable,
        Failure::Redirect,
        Failure::Unsupported,
    ];
    let row = |failure: &Failure| {
        let scope = match scope(failure) {
            Scope::Upstream => "one failure of the upstream",
            Scope::Endpoint => "one failure of the endpoint",
            Scope::Nobody => "nobody's",
        };
        format!("| `{}` | {failure} | {scope} |\n", failure.as_str())
    };
    let failures: String = failures.iter().map(row).collect();
    format!("{INTRODUCTION}{rules}{BETWEEN}{failures}{END}")
}

const INTRODUCTION: &str = "# Failures

What a failed attempt means: whether another endpoint may serve the request, and whose health it speaks about. An endpoint is one
LLM at one upstream. The page is written by `PERSONAROUTE_UPDATE_DOCS=1 cargo test --workspace --test it tables` from the table
that the gateway uses.

## Responses

The first row that applies counts.

| status | condition | fails over | health |
| --- | --- | --- | --- |
";

const BETWEEN: &str = "
The error object of a refusal is about the LLM if its code or its message names the context window, the output limit, an
unsupported parameter or value, or an unknown model.

## Attempts without a usable response

All of them fail over.

| reason | meaning | health |
| --- | --- | --- |
";

const END: &str = "
The reason is the one in `x-personaroute-fallback`, in the log and in metrics. A stream whose first event is an error, or that
contains nothing but comments, is `unreadable`. A redirect is never followed. After the first event a stream that ends without
its finish marks is one failure of the endpoint, and the client receives an error event of its own format. The marks of a chat
completion are the finish reasons of as many choices as the request asks for; `[DONE]` alone is none.
";

impl Rule {
    fn markdown(&self) -> String {
        let statuses = match self.statuses {
            (100, 999) => "any other".to_owned(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        };
        let condition = match self.applies {
            Condition::Always => "",
            Condition::OperatorsKey => "`upstreams[].api_key` is set",
            Condition::AboutTheLlm => "the error is about the LLM",
        };
        let fails_over = match self.fails_over {
            FailsOver::Always => "yes",
            FailsOver::Never => "no",
            FailsOver::IfListed => "if `retry.statuses` lists it",
        };
        let blames = match self.blames {
            Blame::Nobody => "nobody's",
            Blame::Works => "the endpoint works",
            Blame::OneFailure => "one failure of the endpoint, or its circuit opens for `retry-after`",
            Blame::Rest => "the endpoint's circuit opens for `retry-after`, or for `breaker.cooldown`",
        };
        format!("| {statuses} | {condition} | {fails_over} | {blames} |\n")
    }
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

    #[test]
    fn every_status_has_a_row() {
        for status in 100..1_000 {
            assert!(RULES.iter().any(|rule| (rule.statuses.0..=rule.statuses.1).contains(&status)), "{status}");
        }
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
