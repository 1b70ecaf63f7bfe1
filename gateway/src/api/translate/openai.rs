//! Writes OpenAI's format: requests for its upstreams, responses and streams for its clients.

pub mod request;
pub(super) mod content;
mod turn;
pub mod response;
pub mod stream;

use serde_json::Value;

/// The format named in errors about unsupported fields.
pub(super) const TARGET_FORMAT: &str = "OpenAI";

/// Returns OpenAI's `finish_reason` for Anthropic's `stop_reason`.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Returns OpenAI's usage for Anthropic's; OpenAI's `prompt_tokens` includes cached tokens.
fn usage(written: &Value) -> Value {
    let count = |name: &str| written.get(name).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("cache_read_input_tokens");
    let prompt = count("input_tokens").saturating_add(cached).saturating_add(count("cache_creation_input_tokens"));
    let answer = count("output_tokens");
    serde_json::json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt.saturating_add(answer),
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}
