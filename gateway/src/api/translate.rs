//! Chat completions for upstreams that speak Anthropic's messages: the request there, the answer back.
//!
//! What one format says and the other has no word for is left out; what means the same is carried over.

pub mod request;
pub mod answer;
pub mod stream;

use serde_json::Value;

/// Returns OpenAI's reason to finish for Anthropic's reason to stop.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Returns OpenAI's usage for Anthropic's: cached tokens count inside the prompt.
fn usage(written: &Value) -> Value {
    let count = |name: &str| written.get(name).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("cache_read_input_tokens");
    let prompt = count("input_tokens") + cached + count("cache_creation_input_tokens");
    let answer = count("output_tokens");
    serde_json::json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}
