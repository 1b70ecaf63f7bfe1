//! The room that writes Anthropic's format: requests for its upstreams, answers and streams for its clients.

pub mod request;
pub mod answer;
pub mod stream;

use serde_json::{Value, json};

/// Returns Anthropic's reason to stop for OpenAI's reason to finish.
fn stop_reason(finish_reason: &str) -> &'static str {
    match finish_reason {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}

/// Returns Anthropic's usage for OpenAI's: cached tokens count beside the prompt's others.
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
