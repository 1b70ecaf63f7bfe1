//! A chat completion as a message, and OpenAI's errors as Anthropic's.

use serde_json::{Value, json};

use super::{
    super::{error_message, list, read, text, text_of},
    stop_reason, usage,
};

/// Returns the message that says what the chat completion `body` says.
pub fn message(body: &[u8]) -> Option<Vec<u8>> {
    let completion = read(body)?;
    let choice = list(&completion, "choices").first()?;
    let answer = choice.get("message")?;
    let mut content = Vec::new();
    for said in [text_of(answer.get("content").unwrap_or(&Value::Null)), text(answer, "refusal").into()] {
        if !said.is_empty() {
            content.push(json!({"type": "text", "text": said}));
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

/// Arguments that are no JSON object, as when the answer was cut short, are kept as the text they are.
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

/// Returns OpenAI's error object as Anthropic's; a body of another shape stays as it is.
pub fn error(status: u16, body: &[u8]) -> Option<Vec<u8>> {
    let written = read(body)?;
    let message = error_message(written.get("error").unwrap_or(&written))?;
    let error = json!({"type": "error", "error": {"type": kind(status), "message": message}});
    serde_json::to_vec(&error).ok()
}

/// Returns Anthropic's class of error for a status.
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
