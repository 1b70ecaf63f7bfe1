//! Translates a chat completion request to a messages request.

use serde_json::{Map, Value, json};

use super::super::json::{is_present, list, text, unsupported};
use crate::api::Invalid;

/// `max_tokens` of requests without a limit, as messages require one.
const MOST: u64 = 4_096;

/// The format named in errors about unsupported fields.
const TARGET_FORMAT: &str = "Anthropic";

/// Fields that request output which messages do not support.
const UNSUPPORTED_FIELDS: [&str; 6] =
    ["logprobs", "top_logprobs", "functions", "function_call", "audio", "web_search_options"];

/// Translates the chat completion request `chat`.
///
/// It drops fields that only tune or label the output (`seed`, `logit_bias`, the penalties, `reasoning_effort`, `verbosity`,
/// `prediction`, `metadata`, `store`, `service_tier`, the cache keys) and unknown fields.
///
/// # Errors
///
/// Refuses fields that messages cannot express, naming their path.
pub fn messages(chat: &Value) -> Result<Value, Invalid> {
    check(chat)?;
    let mut system = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    for (idx, message) in list(chat, "messages").iter().enumerate() {
        let path = format!("messages[{idx}]");
        let content = || parts(message.get("content"), &format!("{path}.content"));
        match text(message, "role") {
            "system" | "developer" => system.extend(content()?),
            "assistant" => push(&mut turns, "assistant", assistant(message, content()?, &path)?),
            "function" => return Err(unsupported(format!("{path}.role"), TARGET_FORMAT)),
            "tool" => push(&mut turns, "user", vec![tool_result(message, &content()?)]),
            _ => push(&mut turns, "user", content()?),
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
    tuning(chat, &mut request);
    if let Some(format) = response_format(chat)? {
        request.insert("output_config".to_owned(), json!({"format": format}));
    }
    tools(chat, &mut request)?;
    Ok(Value::Object(request))
}

fn check(chat: &Value) -> Result<(), Invalid> {
    if let Some(name) = UNSUPPORTED_FIELDS.into_iter().find(|name| chat.get(*name).is_some_and(is_present)) {
        return Err(unsupported(name, TARGET_FORMAT));
    }
    if chat.get("n").and_then(Value::as_u64).is_some_and(|answers| answers > 1) {
        return Err(unsupported("n", TARGET_FORMAT));
    }
    if list(chat, "modalities").iter().any(|kind| kind != "text") {
        return Err(unsupported("modalities", TARGET_FORMAT));
    }
    Ok(())
}

fn tuning(chat: &Value, request: &mut Map<String, Value>) {
    for name in ["stream", "temperature", "top_p"] {
        if let Some(value) = chat.get(name).filter(|value| !value.is_null()) {
            request.insert(name.to_owned(), value.clone());
        }
    }
    // OpenAI's temperature ranges to 2, Anthropic's to 1.
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
}

/// Translates a JSON schema. JSON mode without a schema has no equivalent in messages.
fn response_format(chat: &Value) -> Result<Option<Value>, Invalid> {
    let Some(format) = chat.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(None);
    };
    match (text(format, "type"), format.pointer("/json_schema/schema")) {
        ("text", _) => Ok(None),
        ("json_schema", Some(schema)) => Ok(Some(json!({"type": "json_schema", "schema": schema}))),
        _ => Err(unsupported("response_format", TARGET_FORMAT)),
    }
}

/// Adds `content` to the last turn if it has the same role, as Anthropic requires alternating roles.
fn push(turns: &mut Vec<Value>, role: &str, content: Vec<Value>) {
    if content.is_empty() {
        return;
    }
    let last = turns.last_mut().filter(|turn| text(turn, "role") == role);
    match last.and_then(|turn| turn.get_mut("content")).and_then(Value::as_array_mut) {
        Some(blocks) => blocks.extend(content),
        None => turns.push(json!({"role": role, "content": content})),
    }
}

fn parts(content: Option<&Value>, path: &str) -> Result<Vec<Value>, Invalid> {
    let parts = match content {
        Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
        Some(Value::Array(parts)) => {
            let part = |(idx, written)| part(written, &format!("{path}[{idx}]"));
            parts.iter().enumerate().map(part).collect::<Result<_, _>>()?
        }
        _ => Vec::new(),
    };
    // Anthropic refuses empty text blocks.
    Ok(parts.into_iter().filter(|part| part.get("text") != Some(&Value::from(""))).collect())
}

fn part(part: &Value, path: &str) -> Result<Value, Invalid> {
    let text_block = |name| json!({"type": "text", "text": text(part, name)});
    match text(part, "type") {
        "text" => Ok(text_block("text")),
        "refusal" => Ok(text_block("refusal")),
        "image_url" => match part.pointer("/image_url/url").and_then(Value::as_str) {
            Some(url) => Ok(json!({"type": "image", "source": source(url)})),
            None => Err(unsupported(path, TARGET_FORMAT)),
        },
        "file" => file(part.get("file").unwrap_or(&Value::Null)).ok_or_else(|| unsupported(path, TARGET_FORMAT)),
        _ => Err(unsupported(path, TARGET_FORMAT)),
    }
}

fn source(url: &str) -> Value {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((kind, data)) => json!({"type": "base64", "media_type": kind, "data": data}),
        None => json!({"type": "url", "url": url}),
    }
}

/// Translates a file that the request contains. A file id of another service has no equivalent.
fn file(file: &Value) -> Option<Value> {
    let source = source(text(file, "file_data"));
    let is_inside = text(&source, "type") == "base64";
    is_inside.then(|| json!({"type": "document", "source": source, "title": file.get("filename")}))
}

fn assistant(message: &Value, mut content: Vec<Value>, path: &str) -> Result<Vec<Value>, Invalid> {
    if let Some(name) = ["function_call", "audio"].into_iter().find(|name| message.get(*name).is_some_and(is_present)) {
        return Err(unsupported(format!("{path}.{name}"), TARGET_FORMAT));
    }
    let refusal = text(message, "refusal");
    if !refusal.is_empty() {
        content.push(json!({"type": "text", "text": refusal}));
    }
    for (idx, call) in list(message, "tool_calls").iter().enumerate() {
        let path = format!("{path}.tool_calls[{idx}]");
        let Some(function) = call.get("function") else {
            return Err(unsupported(path, TARGET_FORMAT));
        };
        let input = match text(function, "arguments").trim() {
            "" => json!({}),
            arguments => serde_json::from_str(arguments).unwrap_or_default(),
        };
        if !input.is_object() {
            return Err(Invalid::new(format!("{path}.function.arguments"), "the arguments must be a JSON object"));
        }
        content.push(json!({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": input}));
    }
    Ok(content)
}

fn tool_result(message: &Value, content: &[Value]) -> Value {
    let id = message.get("tool_call_id").cloned().unwrap_or_default();
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn tools(chat: &Value, request: &mut Map<String, Value>) -> Result<(), Invalid> {
    let mut tools = Vec::new();
    for (idx, tool) in list(chat, "tools").iter().enumerate() {
        let Some(function) = tool.get("function") else {
            return Err(unsupported(format!("tools[{idx}]"), TARGET_FORMAT));
        };
        let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
        let mut written = Map::new();
        written.insert("name".to_owned(), function.get("name").cloned().unwrap_or_default());
        written.insert("input_schema".to_owned(), schema);
        for name in ["description", "strict"] {
            if let Some(value) = function.get(name).filter(|value| !value.is_null()) {
                written.insert(name.to_owned(), value.clone());
            }
        }
        tools.push(Value::Object(written));
    }
    if tools.is_empty() {
        return Ok(());
    }
    request.insert("tools".to_owned(), Value::from(tools));
    request.insert("tool_choice".to_owned(), tool_choice(chat)?);
    Ok(())
}

fn tool_choice(chat: &Value) -> Result<Value, Invalid> {
    let choice = chat.get("tool_choice").unwrap_or(&Value::Null);
    let mut written = match (choice, choice.pointer("/function/name")) {
        (_, Some(name)) => json!({"type": "tool", "name": name}),
        (Value::Object(_), None) => return Err(unsupported("tool_choice", TARGET_FORMAT)),
        (choice, None) if choice == "required" => json!({"type": "any"}),
        (choice, None) if choice == "none" => json!({"type": "none"}),
        _ => json!({"type": "auto"}),
    };
    let is_serial = chat.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let may_call = text(&written, "type") != "none";
    if let Some(written) = written.as_object_mut().filter(|_| is_serial && may_call) {
        written.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_tools_and_images_is_translated() {
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
        let written = messages(&chat).unwrap();
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
        assert_eq!(written, expected);
    }
}
