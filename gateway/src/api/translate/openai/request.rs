//! Translates a messages request to a chat completion request.

use serde_json::{Map, Value, json};

use super::{
    super::{
        json::{is_present, list, text, unsupported},
        number,
        raw_text::BlockInputs,
        schema,
        tool_name::ToolNames,
        user_id,
    },
    TARGET_FORMAT,
    content::content,
    turn::{assistant, user},
};
use crate::api::Invalid;

/// Fields that request a feature which chat completions do not support.
const UNSUPPORTED_FIELDS: [&str; 3] = ["mcp_servers", "container", "prefill"];

/// The field that limits the output; [`super::super::Translation::body`] renames it for upstreams that know the older name.
pub(in super::super) const OUTPUT_LIMIT: &str = "max_completion_tokens";

/// Most stop sequences that OpenAI takes (Chat API, `stop`).
const MOST_STOPS: usize = 4;

/// Returns the names of the functions of the chat completion request `chat`.
pub(in super::super) fn tool_names(chat: &Value) -> impl Iterator<Item = &str> + Clone {
    list(chat, "tools").iter().filter_map(|tool| tool.get("function")).map(|function| text(function, "name"))
}

/// Translates the messages request `written`, whose JSON text is `body`; `names` are
/// the names of its tools.
///
/// It drops `top_k`, `cache_control`, `service_tier`, the thinking of earlier turns that is not the upstream's own, and
/// unknown fields.
///
/// # Errors
///
/// Refuses fields that chat completions cannot express, naming their path.
pub(in super::super) fn completion(written: &Value, body: &str, names: &ToolNames) -> Result<Value, Invalid> {
    if let Some(name) = UNSUPPORTED_FIELDS.into_iter().find(|name| written.get(*name).is_some_and(is_present)) {
        return Err(unsupported(name, TARGET_FORMAT));
    }
    let mut request = Map::new();
    request.insert("model".to_owned(), written.get("model").cloned().unwrap_or_default());
    request.insert("messages".to_owned(), Value::from(messages(written, &BlockInputs::of(body), names)?));
    if let Some(most) = number::limit(written, &["max_tokens"])? {
        request.insert(OUTPUT_LIMIT.to_owned(), json!(most));
    }
    for name in ["temperature", "top_p"] {
        if let Some(value) = written.get(name).filter(|value| !value.is_null()) {
            request.insert(name.to_owned(), number::json(name, value)?);
        }
    }
    stop(written, &mut request)?;
    if written.get("stream") == Some(&Value::Bool(true)) {
        request.insert("stream".to_owned(), Value::Bool(true));
        // Messages always report usage at the end of a stream.
        request.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let user = written.pointer("/metadata/user_id").and_then(Value::as_str).filter(|user| !user.is_empty());
    if let Some(user) = user {
        request.insert("user".to_owned(), Value::from(user_id::to_openai(user)));
    }
    if let Some(format) = written.pointer("/output_config/format").filter(|format| is_present(format)) {
        request.insert("response_format".to_owned(), response_format(format)?);
    }
    tools(written, &mut request, names)?;
    Ok(Value::Object(request))
}

/// Translates the stop sequences; OpenAI refuses more than four and empty ones.
fn stop(written: &Value, request: &mut Map<String, Value>) -> Result<(), Invalid> {
    let sequences = list(written, "stop_sequences").iter().filter_map(Value::as_str);
    let sequences: Vec<&str> = sequences.filter(|sequence| !sequence.is_empty()).collect();
    if sequences.len() > MOST_STOPS {
        let message = format!("`stop_sequences` has {} entries; OpenAI's format takes {MOST_STOPS}", sequences.len());
        return Err(Invalid::new("stop_sequences", message));
    }
    if !sequences.is_empty() {
        request.insert("stop".to_owned(), json!(sequences));
    }
    Ok(())
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
    let written = format.get("schema").unwrap_or(&Value::Null);
    let is_strict = schema::can_be_strict(written);
    Ok(json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": written, "strict": is_strict}}))
}

fn messages(written: &Value, inputs: &BlockInputs<'_>, names: &ToolNames) -> Result<Vec<Value>, Invalid> {
    let mut messages = Vec::new();
    if let Some(system) = written.get("system").filter(|system| is_present(system)) {
        messages.push(json!({"role": "system", "content": content(system, "system")?}));
    }
    let turns = list(written, "messages");
    for (idx, turn) in turns.iter().enumerate() {
        let path = format!("messages[{idx}].content");
        match text(turn, "role") {
            "assistant" => messages.extend(assistant(turn, inputs.turn(idx), names, &path)?),
            "system" => messages.push(
                json!({"role": "system", "content": content(turn.get("content").unwrap_or(&Value::Null), &path)?}),
            ),
            _ => user(turn, &path, &mut messages)?,
        }
    }
    if messages.is_empty() {
        return Err(Invalid::new("messages", "`messages` must contain a message"));
    }
    if turns.last().is_some_and(|turn| text(turn, "role") == "assistant") {
        // OpenAI would start a new message instead of continuing this one.
        return Err(unsupported(format!("messages[{}]", turns.len() - 1), TARGET_FORMAT));
    }
    Ok(messages)
}

fn tools(written: &Value, request: &mut Map<String, Value>, names: &ToolNames) -> Result<(), Invalid> {
    let mut tools = Vec::new();
    for (idx, tool) in list(written, "tools").iter().enumerate() {
        if !matches!(text(tool, "type"), "" | "custom") {
            return Err(unsupported(format!("tools[{idx}]"), TARGET_FORMAT));
        }
        let schema = schema::object(tool.get("input_schema"));
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(names.map(text(tool, "name"))));
        let description = text(tool, "description");
        if !description.is_empty() {
            function.insert("description".to_owned(), json!(description));
        }
        if tool.get("strict") == Some(&Value::Bool(true)) && schema::can_be_strict(&schema) {
            function.insert("strict".to_owned(), Value::Bool(true));
        }
        function.insert("parameters".to_owned(), schema);
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
        "tool" => json!({"type": "function", "function": {"name": names.map(text(choice, "name"))}}),
        _ => Value::from("auto"),
    };
    request.insert("tool_choice".to_owned(), chosen);
    if choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true)) {
        request.insert("parallel_tool_calls".to_owned(), Value::Bool(false));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
