//! Translates the turns of a messages request to chat messages.

use serde_json::{Value, json};

use super::{
    super::{
        json::{list, text, unsupported},
        raw_text::Inputs,
        reasoning::{self, Returned},
        tool_id,
        tool_name::ToolNames,
    },
    TARGET_FORMAT,
    content::{part, plain},
};
use crate::api::Invalid;

/// Adds the messages of a user turn. Tool results become separate messages and come first, directly after their tool calls.
pub(super) fn user(turn: &Value, path: &str, messages: &mut Vec<Value>) -> Result<(), Invalid> {
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
    let id = text(block, "tool_use_id");
    if id.is_empty() {
        let path = format!("{path}.tool_use_id");
        let message = format!("`{path}` must be the id of the tool call");
        return Err(Invalid::new(path, message));
    }
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
    Ok((json!({"role": "tool", "tool_call_id": tool_id::to_openai(id), "content": content}), shown))
}

/// Returns the message of an assistant turn; none if nothing of it is left. `inputs` are the inputs of its blocks as text.
pub(super) fn assistant(
    turn: &Value,
    inputs: &Inputs<'_>,
    names: &ToolNames,
    path: &str,
) -> Result<Option<Value>, Invalid> {
    let Some(blocks) = turn.get("content").and_then(Value::as_array) else {
        return Ok(Some(json!({"role": "assistant", "content": text(turn, "content")})));
    };
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    let mut returned = Returned::default();
    for (idx, block) in blocks.iter().enumerate() {
        match text(block, "type") {
            "text" => parts.push(text(block, "text")),
            "tool_use" => calls.push(tool_call(block, inputs.get(idx), &returned, names, &format!("{path}[{idx}]"))?),
            "thinking" | "redacted_thinking" => returned.read(block),
            _ => return Err(unsupported(format!("{path}[{idx}]"), TARGET_FORMAT)),
        }
    }
    if parts.is_empty() && calls.is_empty() && returned.reasoning.is_none() {
        return Ok(None);
    }
    // Content may be null only beside tool calls.
    let is_silent = parts.is_empty() && !calls.is_empty();
    let content = if is_silent { Value::Null } else { Value::from(parts.concat()) };
    let mut message = json!({"role": "assistant", "content": content});
    if let Some(message) = message.as_object_mut() {
        if let Some((name, thought)) = returned.reasoning {
            message.insert(name.to_owned(), Value::from(thought));
        }
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::from(calls));
        }
    }
    Ok(Some(message))
}

/// Translates a tool call; `input` is its input as the client wrote it.
fn tool_call(
    block: &Value,
    input: Option<&str>,
    returned: &Returned,
    names: &ToolNames,
    path: &str,
) -> Result<Value, Invalid> {
    let id = text(block, "id");
    if id.is_empty() {
        let path = format!("{path}.id");
        let message = format!("`{path}` must be the id of the tool call");
        return Err(Invalid::new(path, message));
    }
    let arguments = match (input, block.get("input")) {
        (Some(input), _) => input.to_owned(),
        (None, Some(input)) => input.to_string(),
        (None, None) => "{}".to_owned(),
    };
    let function = json!({"name": names.map(text(block, "name")), "arguments": arguments});
    let mut call = json!({"id": tool_id::to_openai(id), "type": "function", "function": function});
    if let (Some(extra), Some(call)) = (returned.extra(id), call.as_object_mut()) {
        call.insert(reasoning::EXTRA.to_owned(), extra.clone());
    }
    Ok(call)
}
