//! A chat completion request as a messages request.

use serde_json::{Map, Value, json};

/// Most tokens of an answer whose request names no most: messages must name one.
const MOST: u64 = 4_096;

/// Returns `body` as Anthropic reads it, or `None` when it is no chat completion request.
pub fn messages(body: &[u8]) -> Option<Vec<u8>> {
    let chat: Value = serde_json::from_slice(body).ok()?;
    let mut system = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    for message in chat.get("messages")?.as_array()? {
        match message.get("role").and_then(Value::as_str)? {
            "system" | "developer" => system.extend(parts(message.get("content"))),
            "assistant" => push(&mut turns, "assistant", assistant(message)),
            "tool" | "function" => push(&mut turns, "user", vec![tool_result(message)]),
            _ => push(&mut turns, "user", parts(message.get("content"))),
        }
    }
    let most = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| chat.get(*name).and_then(Value::as_u64));
    let mut request = Map::new();
    request.insert("model".to_owned(), chat.get("model").cloned().unwrap_or_default());
    request.insert("max_tokens".to_owned(), json!(most.unwrap_or(MOST)));
    if !system.is_empty() {
        request.insert("system".to_owned(), Value::from(system));
    }
    request.insert("messages".to_owned(), Value::from(turns));
    for name in ["stream", "temperature", "top_p"] {
        if let Some(value) = chat.get(name).filter(|value| !value.is_null()) {
            request.insert(name.to_owned(), value.clone());
        }
    }
    // OpenAI's scale ends at 2, Anthropic's at 1.
    if let Some(warm) = request.get("temperature").and_then(Value::as_f64).filter(|warm| *warm > 1.0) {
        request.insert("temperature".to_owned(), json!(warm.min(1.0)));
    }
    if let Some(stop) = chat.get("stop").filter(|stop| !stop.is_null()) {
        let list = if stop.is_array() { stop.clone() } else { json!([stop]) };
        request.insert("stop_sequences".to_owned(), list);
    }
    if let Some(user) = chat.get("user").and_then(Value::as_str) {
        request.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    tools(&chat, &mut request);
    serde_json::to_vec(&Value::Object(request)).ok()
}

/// Adds `content` to the last turn when the same side spoke, as Anthropic wants the sides to alternate.
fn push(turns: &mut Vec<Value>, role: &str, content: Vec<Value>) {
    if content.is_empty() {
        return;
    }
    let last = turns.last_mut().filter(|turn| turn.get("role").and_then(Value::as_str) == Some(role));
    match last.and_then(|turn| turn.get_mut("content")).and_then(Value::as_array_mut) {
        Some(blocks) => blocks.extend(content),
        None => turns.push(json!({"role": role, "content": content})),
    }
}

fn parts(content: Option<&Value>) -> Vec<Value> {
    match content {
        // An empty text block is refused.
        Some(Value::String(text)) if !text.is_empty() => vec![json!({"type": "text", "text": text})],
        Some(Value::Array(parts)) => parts.iter().filter_map(part).collect(),
        _ => Vec::new(),
    }
}

fn part(part: &Value) -> Option<Value> {
    match part.get("type").and_then(Value::as_str)? {
        "text" | "refusal" => {
            let text = part.get("text").or_else(|| part.get("refusal"))?.as_str().filter(|text| !text.is_empty())?;
            Some(json!({"type": "text", "text": text}))
        }
        "image_url" => Some(json!({"type": "image", "source": image(part.pointer("/image_url/url")?.as_str()?)})),
        _ => None,
    }
}

fn image(url: &str) -> Value {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((kind, data)) => json!({"type": "base64", "media_type": kind, "data": data}),
        None => json!({"type": "url", "url": url}),
    }
}

fn assistant(message: &Value) -> Vec<Value> {
    let mut content = parts(message.get("content"));
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        let (id, name) = (call.get("id"), call.pointer("/function/name"));
        content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    content
}

fn tool_result(message: &Value) -> Value {
    let id = message.get("tool_call_id").cloned().unwrap_or_default();
    json!({"type": "tool_result", "tool_use_id": id, "content": parts(message.get("content"))})
}

fn tools(chat: &Value, request: &mut Map<String, Value>) {
    let Some(tools) = chat.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty()) else {
        return;
    };
    let tool = |tool: &Value| {
        let function = tool.get("function")?;
        let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
        let mut written = json!({"name": function.get("name")?, "input_schema": schema});
        if let (Some(written), Some(description)) = (written.as_object_mut(), function.get("description")) {
            written.insert("description".to_owned(), description.clone());
        }
        Some(written)
    };
    request.insert("tools".to_owned(), tools.iter().filter_map(tool).collect());
    let choice = chat.get("tool_choice");
    let named = choice.and_then(|choice| choice.pointer("/function/name"));
    let mut written = match (choice.and_then(Value::as_str), named) {
        (_, Some(name)) => json!({"type": "tool", "name": name}),
        (Some("required"), None) => json!({"type": "any"}),
        (Some("none"), None) => json!({"type": "none"}),
        _ => json!({"type": "auto"}),
    };
    let is_serial = chat.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let may_call = written.get("type") != Some(&json!("none"));
    if let Some(written) = written.as_object_mut().filter(|_| is_serial && may_call) {
        written.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
    }
    request.insert("tool_choice".to_owned(), written);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_tools_and_images_is_carried_over() {
        let chat = json!({
            "model": "claude", "stream": true, "temperature": 1.5, "stop": "END", "user": "ada", "seed": 7,
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                    {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
                {"role": "tool", "tool_call_id": "c2", "content": "a dog"},
                {"role": "user", "content": "sure?"}],
            "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
            "tool_choice": "required", "parallel_tool_calls": false,
        });
        let written = messages(chat.to_string().as_bytes()).unwrap();
        let text = |text: &str| json!({"type": "text", "text": text});
        let expected = json!({
            "model": "claude", "max_tokens": 4096, "system": [text("be brief")],
            "messages": [
                {"role": "user", "content": [
                    text("what is this?"),
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
                    {"type": "tool_use", "id": "c2", "name": "look", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [text("a cat")]},
                    {"type": "tool_result", "tool_use_id": "c2", "content": [text("a dog")]},
                    text("sure?")]}],
            "stream": true, "temperature": 1.0, "stop_sequences": ["END"], "metadata": {"user_id": "ada"},
            "tools": [{"name": "look", "input_schema": {"type": "object"}, "description": "Looks."}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        });
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), expected);
    }

    #[test]
    fn what_is_no_chat_is_not_translated() {
        assert_eq!(messages(b"{}"), None);
        assert_eq!(messages(b"nonsense"), None);
    }
}
