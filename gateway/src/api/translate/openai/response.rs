//! Translates a message to a chat completion, and Anthropic's errors to OpenAI's.

use serde_json::{Value, json};

use super::{
    super::{
        json::{error_message, readable, text},
        raw_text::Inputs,
        tool_id,
        tool_name::ToolNames,
    },
    finish_reason, usage,
};
use crate::api::error_code;

/// Translates the message `body` to a chat completion; `created` is the current time in Unix seconds, `names` are the tool
/// names that were mapped in the request.
pub(in super::super) fn completion(body: &[u8], created: u64, names: &ToolNames) -> Option<String> {
    let body = readable(body)?;
    let message: Value = serde_json::from_str(&body).ok()?;
    let inputs = Inputs::of_message(&body);
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    for (idx, block) in message.get("content")?.as_array()?.iter().enumerate() {
        match text(block, "type") {
            "text" => texts.push(text(block, "text")),
            "tool_use" => calls.push(tool_call(block, text(&message, "id"), (idx, inputs.get(idx)), names)),
            _ => {}
        }
    }
    let content = if texts.is_empty() { Value::Null } else { Value::from(texts.concat()) };
    let mut answer = json!({"role": "assistant", "content": content, "refusal": null});
    if let Some(answer) = answer.as_object_mut().filter(|_| !calls.is_empty()) {
        answer.insert("tool_calls".to_owned(), Value::from(calls));
    }
    let stop = text(&message, "stop_reason");
    let completion = json!({
        "id": message.get("id"), "object": "chat.completion", "created": created, "model": message.get("model"),
        "choices": [{"index": 0, "message": answer, "logprobs": null, "finish_reason": finish_reason(stop)}],
        "usage": usage(message.get("usage").unwrap_or(&Value::Null)),
    });
    Some(completion.to_string())
}

/// Translates a tool call of the message `response`: the block `position`, whose input the upstream wrote as `input`.
fn tool_call(block: &Value, response: &str, (position, input): (usize, Option<&str>), names: &ToolNames) -> Value {
    let arguments = match (input, block.get("input")) {
        (Some(input), _) => input.to_owned(),
        (None, Some(input)) => input.to_string(),
        (None, None) => "{}".to_owned(),
    };
    let function = json!({"name": names.original(text(block, "name")), "arguments": arguments});
    let id = tool_id::openai_or_invented(text(block, "id"), response, position);
    json!({"id": id, "type": "function", "function": function})
}

/// Translates Anthropic's error object to OpenAI's; none if `body` is not an error object.
pub fn error(body: &[u8]) -> Option<Vec<u8>> {
    let written: Value = serde_json::from_str(&readable(body)?).ok()?;
    let error = written.get("error")?;
    let message = error_message(error).unwrap_or_default();
    let code = error_code::openai_code(text(error, "type"), message);
    let error = json!({"message": message, "type": error.get("type"), "param": null, "code": code});
    serde_json::to_vec(&json!({"error": error})).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_tools_reason_and_usage_are_translated() {
        let message = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
            "content": [{"type": "text", "text": "Let me "}, {"type": "text", "text": "look."},
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}],
            "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 5},
        });
        let written = completion(message.to_string().as_bytes(), 9, &ToolNames::default()).unwrap();
        let function = json!({"name": "look", "arguments": "{\"at\":1}"});
        let answer = json!({"role": "assistant", "content": "Let me look.", "refusal": null,
                            "tool_calls": [{"id": "c1", "type": "function", "function": function}]});
        let expected = json!({
            "id": "msg_1", "object": "chat.completion", "created": 9, "model": "claude",
            "choices": [{"index": 0, "message": answer, "logprobs": null, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                      "prompt_tokens_details": {"cached_tokens": 4}},
        });
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
    }

    #[test]
    fn calls_without_an_id_get_one_of_their_own() {
        let block = json!({"type": "tool_use", "name": "look", "input": {}});
        let message = json!({"id": "msg_1", "content": [block, block]});
        let written = completion(message.to_string().as_bytes(), 9, &ToolNames::default()).unwrap();
        let read: Value = serde_json::from_str(&written).unwrap();
        let calls = &read["choices"][0]["message"]["tool_calls"];
        assert!(calls[0]["id"].as_str().is_some_and(|id| id.starts_with("call_")), "{calls}");
        assert_ne!(calls[0]["id"], calls[1]["id"]);
    }

    #[test]
    fn errors_keep_type_and_message() {
        let written = error(br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#).unwrap();
        let read: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&read["error"]["type"], &read["error"]["message"]), (&json!("overloaded_error"), &json!("busy")));
        let written = error(br#"{"error":"busy"}"#).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap()["error"]["message"], "busy");
        assert_eq!(error(b"<html>"), None);
    }
}
