//! Translates a messages request to a chat completion request.

use serde_json::{Map, Value, json};

use super::super::json::{is_present, list, text, unsupported};
use crate::api::Invalid;

/// The format named in errors about unsupported fields.
const TARGET_FORMAT: &str = "OpenAI";

/// Fields that request a feature which chat completions do not support.
const UNSUPPORTED_FIELDS: [&str; 3] = ["mcp_servers", "container", "prefill"];

/// Translates the messages request `written`.
///
/// It drops `top_k`, `cache_control`, `service_tier`, the thinking of earlier turns, and unknown fields.
///
/// # Errors
///
/// Refuses fields that chat completions cannot express, naming their path.
pub fn completion(written: &Value) -> Result<Value, Invalid> {
    if let Some(name) = UNSUPPORTED_FIELDS.into_iter().find(|name| written.get(*name).is_some_and(is_present)) {
        return Err(unsupported(name, TARGET_FORMAT));
    }
    let mut request = Map::new();
    request.insert("model".to_owned(), written.get("model").cloned().unwrap_or_default());
    request.insert("messages".to_owned(), Value::from(messages(written)?));
    let same = [
        ("max_tokens", "max_completion_tokens"),
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("stop_sequences", "stop"),
        ("stream", "stream"),
    ];
    for (theirs, ours) in same {
        if let Some(value) = written.get(theirs).filter(|value| !value.is_null()) {
            request.insert(ours.to_owned(), value.clone());
        }
    }
    if written.get("stream") == Some(&Value::Bool(true)) {
        // Messages always report usage at the end of a stream.
        request.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if let Some(user) = written.pointer("/metadata/user_id").and_then(Value::as_str) {
        request.insert("user".to_owned(), Value::from(user));
    }
    if let Some(format) = written.pointer("/output_config/format").filter(|format| is_present(format)) {
        request.insert("response_format".to_owned(), response_format(format)?);
    }
    tools(written, &mut request)?;
    Ok(Value::Object(request))
}

/// Returns OpenAI's `reasoning_effort` for the effort or thinking budget of the messages request `written`.
///
/// Anthropic's budgets are tokens and OpenAI's efforts are levels, so the bounds between the levels are estimates.
pub fn effort(written: &Value) -> Option<&'static str> {
    match written.pointer("/output_config/effort").and_then(Value::as_str) {
        Some("low") => return Some("low"),
        Some("medium") => return Some("medium"),
        Some(_) => return Some("high"),
        None => {}
    }
    if written.pointer("/thinking/type").and_then(Value::as_str) != Some("enabled") {
        return None;
    }
    match written.pointer("/thinking/budget_tokens").and_then(Value::as_u64)? {
        ..=2_048 => Some("low"),
        2_049..=8_192 => Some("medium"),
        _ => Some("high"),
    }
}

fn response_format(format: &Value) -> Result<Value, Invalid> {
    if text(format, "type") != "json_schema" {
        return Err(unsupported("output_config.format", TARGET_FORMAT));
    }
    let schema = json!({"name": "answer", "schema": format.get("schema"), "strict": true});
    Ok(json!({"type": "json_schema", "json_schema": schema}))
}

fn messages(written: &Value) -> Result<Vec<Value>, Invalid> {
    let mut messages = Vec::new();
    if let Some(system) = written.get("system").filter(|system| is_present(system)) {
        messages.push(json!({"role": "system", "content": content(system, "system")?}));
    }
    let turns = list(written, "messages");
    for (idx, turn) in turns.iter().enumerate() {
        let path = format!("messages[{idx}].content");
        match text(turn, "role") {
            "assistant" => messages.push(assistant(turn, &path)?),
            "system" => messages.push(
                json!({"role": "system", "content": content(turn.get("content").unwrap_or(&Value::Null), &path)?}),
            ),
            _ => user(turn, &path, &mut messages)?,
        }
    }
    if turns.last().is_some_and(|turn| text(turn, "role") == "assistant") {
        // OpenAI would start a new message instead of continuing this one.
        return Err(unsupported(format!("messages[{}]", turns.len() - 1), TARGET_FORMAT));
    }
    Ok(messages)
}

/// Translates a user turn. Tool results become separate messages and come first, directly after their tool calls.
fn user(turn: &Value, path: &str, messages: &mut Vec<Value>) -> Result<(), Invalid> {
    let Some(blocks) = turn.get("content").and_then(Value::as_array) else {
        messages.push(json!({"role": "user", "content": text(turn, "content")}));
        return Ok(());
    };
    let mut parts = Vec::new();
    for (idx, block) in blocks.iter().enumerate() {
        let path = format!("{path}[{idx}]");
        if text(block, "type") != "tool_result" {
            parts.push(part(block, &path)?);
            continue;
        }
        let (result, shown) = tool_result(block, &path)?;
        messages.push(result);
        parts.extend(shown);
    }
    if !parts.is_empty() {
        messages.push(json!({"role": "user", "content": plain(parts)}));
    }
    Ok(())
}

/// Returns the tool message, and the images of the result, which only a user message may contain.
fn tool_result(block: &Value, path: &str) -> Result<(Value, Vec<Value>), Invalid> {
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for (idx, block) in list(block, "content").iter().enumerate() {
        let part = part(block, &format!("{path}.content[{idx}]"))?;
        if text(&part, "type") == "text" { parts.push(part) } else { shown.push(part) }
    }
    let content = match block.get("content") {
        Some(Value::String(text)) => Value::from(text.as_str()),
        _ => plain(parts),
    };
    Ok((json!({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content}), shown))
}

fn assistant(turn: &Value, path: &str) -> Result<Value, Invalid> {
    let Some(blocks) = turn.get("content").and_then(Value::as_array) else {
        return Ok(json!({"role": "assistant", "content": text(turn, "content")}));
    };
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    for (idx, block) in blocks.iter().enumerate() {
        match text(block, "type") {
            "text" => parts.push(text(block, "text")),
            "tool_use" => calls.push(tool_call(block)),
            // Thinking is signed for Anthropic and is not part of the reply.
            "thinking" | "redacted_thinking" => {}
            _ => return Err(unsupported(format!("{path}[{idx}]"), TARGET_FORMAT)),
        }
    }
    // Content may be null only beside tool calls.
    let is_silent = parts.is_empty() && !calls.is_empty();
    let content = if is_silent { Value::Null } else { Value::from(parts.concat()) };
    let mut message = json!({"role": "assistant", "content": content});
    if let Some(message) = message.as_object_mut().filter(|_| !calls.is_empty()) {
        message.insert("tool_calls".to_owned(), Value::from(calls));
    }
    Ok(message)
}

fn tool_call(block: &Value) -> Value {
    let input = block.get("input").map_or_else(|| "{}".to_owned(), Value::to_string);
    json!({"id": block.get("id"), "type": "function", "function": {"name": block.get("name"), "arguments": input}})
}

/// Translates message content: a string or a list of blocks.
fn content(written: &Value, path: &str) -> Result<Value, Invalid> {
    let Some(blocks) = written.as_array() else {
        return Ok(written.clone());
    };
    let parts = blocks.iter().enumerate().map(|(idx, block)| part(block, &format!("{path}[{idx}]")));
    Ok(plain(parts.collect::<Result<_, _>>()?))
}

/// Returns a single text part as a string, which every upstream accepts.
fn plain(mut parts: Vec<Value>) -> Value {
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Value::from(""),
        (Some(only), true) if text(&only, "type") == "text" => Value::from(text(&only, "text")),
        (Some(last), _) => {
            parts.push(last);
            Value::from(parts)
        }
    }
}

fn part(block: &Value, path: &str) -> Result<Value, Invalid> {
    let source = block.get("source").unwrap_or(&Value::Null);
    match (text(block, "type"), text(source, "type")) {
        ("text", _) => Ok(json!({"type": "text", "text": text(block, "text")})),
        ("image", "base64") => Ok(json!({"type": "image_url", "image_url": {"url": data_url(source)}})),
        ("image", "url") => Ok(json!({"type": "image_url", "image_url": {"url": source.get("url")}})),
        ("document", "text") => Ok(json!({"type": "text", "text": text(source, "data")})),
        ("document", "base64") => {
            let name = block.get("title").and_then(Value::as_str).unwrap_or("document.pdf");
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": data_url(source)}}))
        }
        _ => Err(unsupported(path, TARGET_FORMAT)),
    }
}

fn data_url(source: &Value) -> String {
    format!("data:{};base64,{}", text(source, "media_type"), text(source, "data"))
}

fn tools(written: &Value, request: &mut Map<String, Value>) -> Result<(), Invalid> {
    let mut tools = Vec::new();
    for (idx, tool) in list(written, "tools").iter().enumerate() {
        if !matches!(text(tool, "type"), "" | "custom") {
            return Err(unsupported(format!("tools[{idx}]"), TARGET_FORMAT));
        }
        let mut function = Map::new();
        for (theirs, ours) in
            [("name", "name"), ("description", "description"), ("input_schema", "parameters"), ("strict", "strict")]
        {
            if let Some(value) = tool.get(theirs).filter(|value| !value.is_null()) {
                function.insert(ours.to_owned(), value.clone());
            }
        }
        tools.push(json!({"type": "function", "function": function}));
    }
    if tools.is_empty() {
        return Ok(());
    }
    request.insert("tools".to_owned(), Value::from(tools));
    let Some(choice) = written.get("tool_choice").filter(|choice| !choice.is_null()) else {
        return Ok(());
    };
    let chosen = match text(choice, "type") {
        "any" => Value::from("required"),
        "none" => Value::from("none"),
        "tool" => json!({"type": "function", "function": {"name": choice.get("name")}}),
        _ => Value::from("auto"),
    };
    request.insert("tool_choice".to_owned(), chosen);
    if choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true)) {
        request.insert("parallel_tool_calls".to_owned(), Value::Bool(false));
    }
    Ok(())
}
