//! Translates a chat completion to a message, and OpenAI's errors to Anthropic's.

use serde_json::{Value, json};

use super::{
    super::{
        json::{error_message, is_present, list, read, text, text_of},
        reasoning, tool_id,
        tree::Node,
    },
    calls::arguments_of,
    response_id, stop_reason,
    stream::Expected,
    usage,
};
use crate::api::error_code;

/// Translates the chat completion `body` to a message.
pub fn message(body: &[u8], expected: &Expected) -> Option<String> {
    let completion = read(body)?;
    let choice = list(&completion, "choices").first()?;
    let answer = choice.get("message")?;
    let id = response_id(&completion, &expected.id);
    let calls = list(answer, "tool_calls");
    let mut content: Vec<Node> = Vec::new();
    if let Some((name, thought)) = reasoning::of(answer).filter(|_| expected.has_thinking || !calls.is_empty()) {
        content.push(reasoning::block(name, thought, expected.has_thinking).into());
    }
    for text in [text_of(answer.get("content").unwrap_or(&Value::Null)), text(answer, "refusal").into()] {
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text}).into());
        }
    }
    for (position, call) in calls.iter().enumerate() {
        tool_use(call, &id, position, expected, &mut content);
    }
    let model = Some(text(&completion, "model")).filter(|model| !model.is_empty()).unwrap_or(&expected.model);
    let reason = stop_reason(text(choice, "finish_reason"), !calls.is_empty());
    let message = Node::Object(vec![
        ("id", json!(id).into()),
        ("type", json!("message").into()),
        ("role", json!("assistant").into()),
        ("model", json!(model).into()),
        ("content", Node::List(content)),
        ("stop_reason", json!(reason).into()),
        ("stop_sequence", Value::Null.into()),
        ("usage", usage(completion.get("usage").unwrap_or(&Value::Null)).into()),
    ]);
    Some(message.to_text())
}

/// Adds a tool call, after what the upstream wants back with it. Arguments that are not a JSON object, for example truncated
/// ones, are kept as text.
fn tool_use(call: &Value, response: &str, position: usize, expected: &Expected, content: &mut Vec<Node>) {
    let function = call.get("function").unwrap_or(&Value::Null);
    let written = arguments_of(function);
    let input = match Node::raw_object(&written) {
        Some(input) => input,
        None if written.trim().is_empty() => json!({}).into(),
        None => json!({"arguments": written}).into(),
    };
    let id = match text(call, "id") {
        "" => tool_id::invented(response, position),
        id => tool_id::to_anthropic(id).into_owned(),
    };
    if let Some(extra) = call.get(reasoning::EXTRA).filter(|extra| is_present(extra)) {
        content.push(reasoning::extra_block(&id, extra).into());
    }
    content.push(Node::Object(vec![
        ("type", json!("tool_use").into()),
        ("id", json!(id).into()),
        ("name", json!(expected.names.original(text(function, "name"))).into()),
        ("input", input),
    ]));
}

/// Translates OpenAI's error object to Anthropic's; none if `body` is not an error object.
pub fn error(status: u16, body: &[u8]) -> Option<Vec<u8>> {
    let written = read(body)?;
    let error = written.get("error").unwrap_or(&written);
    let message = error_message(error)?;
    let message = error_code::for_anthropic(message, error.get("code").and_then(Value::as_str));
    let error = json!({"type": "error", "error": {"type": error_code::anthropic_type(status), "message": message}});
    serde_json::to_vec(&error).ok()
}
