//! The room that writes Anthropic's format: requests for its upstreams, answers and streams for its clients.

pub mod request;
pub mod response;
pub mod stream;
mod calls;

use serde_json::{Value, json};

/// Returns Anthropic's reason to stop for OpenAI's reason to finish; `has_called` says whether the answer calls tools.
fn stop_reason(finish_reason: &str, has_called: bool) -> &'static str {
    match finish_reason {
        // A call may be cut as well: nobody should make it.
        "length" => "max_tokens",
        "content_filter" => "refusal",
        "tool_calls" | "function_call" => "tool_use",
        // Some upstreams call their tools and then say they just stopped.
        _ if has_called => "tool_use",
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
