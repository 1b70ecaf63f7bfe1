//! Writes Anthropic's format: requests for its upstreams, responses and streams for its clients.

pub mod request;
mod content;
mod tool;
pub mod response;
pub mod stream;
mod calls;

use serde_json::{Value, json};

use super::json::text;

/// The format named in errors about unsupported fields.
pub(super) const TARGET_FORMAT: &str = "Anthropic";

/// Returns the id of a response: the upstream's, or `fallback` if it sent none.
fn response_id(response: &Value, fallback: &str) -> String {
    match text(response, "id") {
        "" => fallback.to_owned(),
        id => id.to_owned(),
    }
}

/// Returns Anthropic's `stop_reason` for OpenAI's `finish_reason`; `has_called` is whether the response has tool calls.
fn stop_reason(finish_reason: &str, has_called: bool) -> &'static str {
    match finish_reason {
        // A tool call may be truncated too, and must then not be executed.
        "length" => "max_tokens",
        "content_filter" => "refusal",
        "tool_calls" | "function_call" => "tool_use",
        // Some upstreams send tool calls with the reason `stop`.
        _ if has_called => "tool_use",
        _ => "end_turn",
    }
}

/// Returns Anthropic's usage for OpenAI's; Anthropic's `input_tokens` excludes cached tokens.
fn usage(written: &Value) -> Value {
    let count = |path: &str| written.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/prompt_tokens_details/cached_tokens");
    json!({
        "input_tokens": count("/prompt_tokens").saturating_sub(cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": count("/completion_tokens"),
    })
}
