//! Translates a message to a chat completion, and Anthropic's errors to OpenAI's.

use serde_json::{Value, json};

use super::{
    super::json::{error_message, read},
    finish_reason, usage,
};

/// Translates the message `body` to a chat completion; `created` is the current time in Unix seconds.
pub fn completion(body: &[u8], created: u64) -> Option<Vec<u8>> {
    let message = read(body)?;
    let blocks = message.get("content")?.as_array()?;
    let kind = |block: &&Value, kind: &str| block.get("type").and_then(Value::as_str) == Some(kind);
    let texts: Vec<&str> = blocks
        .iter()
        .filter(|block| kind(block, "text"))
        .filter_map(|block| block.get("text").and_then(Value::as_str))
        .collect();
    let calls: Vec<Value> = blocks.iter().filter(|block| kind(block, "tool_use")).map(tool_call).collect();
    let content = if texts.is_empty() { Value::Null } else { Value::from(texts.concat()) };
    let mut answer = json!({"role": "assistant", "content": content, "refusal": null});
    if let Some(answer) = answer.as_object_mut().filter(|_| !calls.is_empty()) {
        answer.insert("tool_calls".to_owned(), Value::from(calls));
    }
    let stop = message.get("stop_reason").and_then(Value::as_str).unwrap_or_default();
    let completion = json!({
        "id": message.get("id"), "object": "chat.completion", "created": created, "model": message.get("model"),
        "choices": [{"index": 0, "message": answer, "logprobs": null, "finish_reason": finish_reason(stop)}],
        "usage": usage(message.get("usage").unwrap_or(&Value::Null)),
    });
    serde_json::to_vec(&completion).ok()
}

fn tool_call(block: &Value) -> Value {
    let input = block.get("input").map_or_else(|| "{}".to_owned(), Value::to_string);
    json!({"id": block.get("id"), "type": "function", "function": {"name": block.get("name"), "arguments": input}})
}

/// Translates Anthropic's error object to OpenAI's; none if `body` is not an error object.
pub fn error(body: &[u8]) -> Option<Vec<u8>> {
    let written = read(body)?;
    let error = written.get("error")?;
    let error = json!({"message": error_message(error), "type": error.get("type"), "param": null, "code": null});
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
        let written = completion(message.to_string().as_bytes(), 9).unwrap();
        let function = json!({"name": "look", "arguments": "{\"at\":1}"});
        let answer = json!({"role": "assistant", "content": "Let me look.", "refusal": null,
                            "tool_calls": [{"id": "c1", "type": "function", "function": function}]});
        let expected = json!({
            "id": "msg_1", "object": "chat.completion", "created": 9, "model": "claude",
            "choices": [{"index": 0, "message": answer, "logprobs": null, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                      "prompt_tokens_details": {"cached_tokens": 4}},
        });
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), expected);
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
