//! Translates a responses request to a chat completion request.

use serde_json::{Map, Value, json};

use super::{
    super::{
        Format,
        anthropic::request::Thinking,
        json::{is_present, list, text, unsupported},
        number, schema,
        tool_name::ToolNames,
        user_id,
    },
    item::Messages,
    tool,
};
use crate::api::Invalid;

pub(in super::super) use super::tool::names;

/// Fields that refer to what only the service that stored it can read.
const STORED: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// Efforts that OpenAI's format knows.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/// A translated request.
#[derive(Debug)]
pub(in super::super) struct Chat {
    /// The chat completion request.
    pub(in super::super) chat: Value,
    /// The thinking that it cannot express.
    pub(in super::super) thinking: Thinking,
    /// The position of the input item that each message begins with.
    origins: Vec<usize>,
}

/// Translates the responses request `written` to a chat for an upstream of format `to`; `names` are the names of its tools if
/// the chat is sent as it is.
///
/// # Errors
///
/// Refuses fields that a chat for this upstream cannot express, naming their path.
pub(in super::super) fn chat(written: &Value, to: Format, names: Option<&ToolNames>) -> Result<Chat, Invalid> {
    check(written, to)?;
    let mut chat = Map::new();
    chat.insert("model".to_owned(), written.get("model").cloned().unwrap_or_default());
    let mut messages = Messages::new(to, names);
    read_input(written, &mut messages)?;
    let Messages { mut list, mut origins, mut thinking, .. } = messages;
    let instructions = text(written, "instructions");
    if !instructions.trim().is_empty() {
        list.insert(0, json!({"role": "system", "content": instructions}));
        origins.insert(0, 0);
        thinking.returned = thinking.returned.into_iter().map(|(at, blocks)| (at + 1, blocks)).collect();
    }
    chat.insert("messages".to_owned(), Value::from(list));
    if let Some(most) = number::limit(written, &["max_output_tokens"])? {
        chat.insert("max_completion_tokens".to_owned(), json!(most));
    }
    for name in ["temperature", "top_p"] {
        if let Some(value) = written.get(name).filter(|value| !value.is_null()) {
            chat.insert(name.to_owned(), number::json(name, value)?);
        }
    }
    if written.get("stream") == Some(&Value::Bool(true)) {
        chat.insert("stream".to_owned(), Value::Bool(true));
        chat.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let user = ["user", "safety_identifier"].into_iter().map(|name| text(written, name)).find(|user| !user.is_empty());
    if let Some(user) = user {
        let user = if to == Format::Openai { user_id::to_openai(user) } else { user.into() };
        chat.insert("user".to_owned(), Value::from(user));
    }
    if let Some(format) = response_format(written, to)? {
        chat.insert("response_format".to_owned(), format);
    }
    tool::tools(written, to, names, &mut chat)?;
    thinking.budget = budget(written);
    Ok(Chat { chat: Value::Object(chat), thinking, origins })
}

impl Chat {
    /// Returns `invalid`, an error about the chat, as one about the responses request.
    pub(in super::super) fn located(&self, invalid: &Invalid) -> Invalid {
        let param = match invalid.param.as_ref() {
            "messages" => "input".to_owned(),
            "response_format" => "text.format".to_owned(),
            path => self.item_path(path).unwrap_or_else(|| path.to_owned()),
        };
        let message = invalid.message.replace(&format!("`{}`", invalid.param), &format!("`{param}`"));
        Invalid::new(param, message)
    }

    /// Returns the path of the input item for the `path` of a message or of a part of it.
    fn item_path(&self, path: &str) -> Option<String> {
        let (position, rest) = path.strip_prefix("messages[")?.split_once(']')?;
        let origin = self.origins.get(position.parse::<usize>().ok()?)?;
        let rest = if rest.starts_with(".content") { rest } else { "" };
        Some(format!("input[{origin}]{rest}"))
    }
}

/// Returns OpenAI's `reasoning_effort` for the request.
pub(in super::super) fn effort(written: &Value) -> Option<&'static str> {
    let asked = written.pointer("/reasoning/effort").and_then(Value::as_str)?;
    EFFORTS.into_iter().find(|effort| *effort == asked)
}

/// Returns Anthropic's thinking budget for the request's effort. Efforts are levels and budgets are tokens, so these are the
/// largest budgets that [`super::super::openai::request::effort`] reads as the same level.
fn budget(written: &Value) -> Option<u64> {
    match effort(written)? {
        "low" => Some(2_048),
        "medium" => Some(8_192),
        "high" => Some(16_384),
        "xhigh" => Some(32_768),
        _ => None,
    }
}

fn check(written: &Value, to: Format) -> Result<(), Invalid> {
    let refused = |name: &'static str| Err(unsupported(name, to.name()));
    if let Some(name) = STORED.into_iter().find(|name| written.get(*name).is_some_and(|value| !value.is_null())) {
        return refused(name);
    }
    if written.get("background") == Some(&Value::Bool(true)) {
        return refused("background");
    }
    if written.get("top_logprobs").and_then(number::finite).is_some_and(|count| count > 0.0) {
        return refused("top_logprobs");
    }
    if list(written, "include").iter().any(|asked| asked == "message.output_text.logprobs") {
        return refused("include");
    }
    Ok(())
}

fn read_input(written: &Value, messages: &mut Messages<'_>) -> Result<(), Invalid> {
    match written.get("input") {
        Some(Value::String(text)) => messages.read(0, &json!({"role": "user", "content": text}))?,
        Some(Value::Array(items)) => {
            for (idx, item) in items.iter().enumerate() {
                messages.read(idx, item)?;
            }
        }
        _ => return Err(Invalid::new("input", "`input` must be a string or a list of items")),
    }
    messages.flush();
    match messages.list.last() {
        None => Err(Invalid::new("input", "`input` must contain a message")),
        // Translated upstreams may continue a last message of the assistant instead of answering it.
        Some(last) if text(last, "role") == "assistant" => {
            let last = messages.origins.last().copied().unwrap_or(0);
            Err(unsupported(format!("input[{last}]"), messages.format().name()))
        }
        Some(_) => Ok(()),
    }
}

/// Translates `text.format`. JSON mode without a schema has no equivalent in messages.
fn response_format(written: &Value, to: Format) -> Result<Option<Value>, Invalid> {
    let Some(format) = written.pointer("/text/format").filter(|format| is_present(format)) else {
        return Ok(None);
    };
    match (text(format, "type"), format.get("schema")) {
        ("text", _) => Ok(None),
        ("json_object", _) if to == Format::Openai => Ok(Some(json!({"type": "json_object"}))),
        ("json_schema", Some(schema)) => Ok(Some(json!({"type": "json_schema", "json_schema": named(format, schema)}))),
        _ => Err(unsupported("text.format", to.name())),
    }
}

fn named(format: &Value, schema: &Value) -> Value {
    let name = Some(text(format, "name")).filter(|name| !name.is_empty()).unwrap_or("answer");
    let is_strict = format.get("strict") == Some(&Value::Bool(true)) && schema::can_be_strict(schema);
    let mut named = json!({"name": name, "schema": schema, "strict": is_strict});
    let description = text(format, "description");
    if let Some(named) = named.as_object_mut().filter(|_| !description.is_empty()) {
        named.insert("description".to_owned(), json!(description));
    }
    named
}

#[cfg(test)]
mod tests;
