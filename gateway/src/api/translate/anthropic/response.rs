//! Translates a chat completion to a message, and OpenAI's errors to Anthropic's.

use serde_json::{Value, json};

use super::{
    super::json::{error_message, list, read, text, text_of},
    stop_reason, usage,
};

/// Translates the chat completion `body` to a message.
pub fn message(body: &[u8]) -> Option<Vec<u8>> {
    let completion = read(body)?;
    let choice = list(&completion, "choices").first()?;
    let answer = choice.get("message")?;
    let mut content = Vec::new();
    for text in [text_of(answer.get("content").unwrap_or(&Value::Null)), text(answer, "refusal").into()] {
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text}));
        }
    }
    let calls = list(answer, "tool_calls");
    content.extend(calls.iter().map(tool_use));
    let reason = stop_reason(text(choice, "finish_reason"), !calls.is_empty());
    let message = json!({
        "id": completion.get("id"), "type": "message", "role": "assistant", "model": completion.get("model"),
        "content": content, "stop_reason": reason, "stop_sequence": null,
        "usage": usage(completion.get("usage").unwrap_or(&Value::Null)),
    });
    serde_json::to_vec(&message).ok()
}

/// Translates a tool call. Arguments that are not a JSON object, for example truncated ones, are kept as text.
fn tool_use(call: &Value) -> Value {
    let function = call.get("function").unwrap_or(&Value::Null);
    let written = text(function, "arguments");
    let input = match serde_json::from_str::<Value>(written) {
        Ok(input) if input.is_object() => input,
        _ if written.trim().is_empty() => json!({}),
        _ => json!({"arguments": written}),
    };
    json!({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": input})
}

/// Translates OpenAI's error object to Anthropic's; none if `body` is not an error object.
pub fn error(status: u16, body: &[u8]) -> Option<Vec<u8>> {
    let written = read(body)?;
    let message = error_message(written.get("error").unwrap_or(&written))?;
    let error = json!({"type": "error", "error": {"type": kind(status), "message": message}});
    serde_json::to_vec(&error).ok()
}

/// Returns Anthropic's error type for a status.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
