//! Translates a chat completion request to a messages request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        json::{is_present, list, text, unsupported},
        number,
        tool_name::ToolNames,
        tree::Node,
        user_id,
    },
    TARGET_FORMAT,
    content::parts,
    tool::{CallIds, assistant, tool_choice, tool_result, tools},
};
use crate::api::Invalid;

/// `max_tokens` of requests without a limit, as messages require one.
const MOST: u64 = 4_096;

/// The smallest thinking budget that Anthropic takes (Messages API, `thinking.budget_tokens`).
const LEAST_THINKING: u64 = 1_024;

/// Fields that request output which messages do not support.
const UNSUPPORTED_FIELDS: [&str; 3] = ["logprobs", "functions", "audio"];

/// Returns the names of the tools of the messages request `written`.
pub(in super::super) fn tool_names(written: &Value) -> impl Iterator<Item = &str> + Clone {
    list(written, "tools").iter().map(|tool| text(tool, "name"))
}

/// A turn of the conversation.
struct Turn {
    role: &'static str,
    content: Vec<Node>,
}

/// Thinking that a chat completion request cannot express; clients of other formats can.
#[derive(Debug, Default)]
pub(in super::super) struct Thinking {
    /// Tokens for thinking; none asks for no thinking.
    pub(in super::super) budget: Option<u64>,
    /// Thinking blocks of earlier turns, by the position of the message that they precede.
    pub(in super::super) returned: BTreeMap<usize, Vec<Value>>,
}

/// Translates the chat completion request `chat`; `names` are the names of its tools.
///
/// It drops fields that only tune or label the output (`seed`, `logit_bias`, the penalties, `reasoning_effort`, `verbosity`,
/// `prediction`, `metadata`, `store`, `service_tier`, the cache keys) and unknown fields.
///
/// # Errors
///
/// Refuses fields that messages cannot express, naming their path.
pub(in super::super) fn messages(chat: &Value, names: &ToolNames, thinking: &Thinking) -> Result<Node, Invalid> {
    check(chat)?;
    let mut system = Vec::new();
    let mut turns = Vec::new();
    let mut ids = CallIds::default();
    let written = list(chat, "messages");
    for (idx, message) in written.iter().enumerate() {
        let path = format!("messages[{idx}]");
        let content = || parts(message.get("content"), &format!("{path}.content"));
        match text(message, "role") {
            "system" | "developer" => system.extend(content()?),
            "assistant" => {
                let mut blocks = thinking.returned.get(&idx).cloned().unwrap_or_default();
                blocks.extend(content()?);
                push(&mut turns, "assistant", assistant(message, blocks, (&mut ids, names), &path)?);
            }
            "function" => return Err(unsupported(format!("{path}.role"), TARGET_FORMAT)),
            "tool" => push(&mut turns, "user", vec![tool_result(message, &content()?, &ids, &path)?]),
            _ => push(&mut turns, "user", content()?.into_iter().map(Node::from).collect()),
        }
    }
    check_turns(&turns, written.len())?;
    let mut request = vec![("model", chat.get("model").cloned().unwrap_or_default().into())];
    let most = number::limit(chat, &["max_completion_tokens", "max_tokens"])?;
    let budget = thinking.budget.filter(|_| may_think(chat, &turns)).and_then(|budget| fitting(budget, most));
    request.push(("max_tokens", json!(most.unwrap_or(MOST + budget.unwrap_or(0))).into()));
    if let Some(budget) = budget {
        request.push(("thinking", json!({"type": "enabled", "budget_tokens": budget}).into()));
    }
    if !system.is_empty() {
        request.push(("system", Value::from(system).into()));
    }
    request.push(("messages", Node::List(turns.into_iter().map(Turn::into_node).collect())));
    if chat.get("stream") == Some(&Value::Bool(true)) {
        request.push(("stream", json!(true).into()));
    }
    // Anthropic refuses other samplings beside thinking.
    if budget.is_none() {
        sampling(chat, &mut request)?;
    }
    stop_sequences(chat, &mut request);
    if let Some(user) = chat.get("user").and_then(Value::as_str).filter(|user| !user.is_empty()) {
        request.push(("metadata", json!({"user_id": user_id::to_anthropic(user)}).into()));
    }
    if let Some(format) = response_format(chat)? {
        request.push(("output_config", json!({"format": format}).into()));
    }
    let tools = tools(chat, names)?;
    if !tools.is_empty() {
        request.push(("tools", Value::from(tools).into()));
        request.push(("tool_choice", tool_choice(chat, names)?.into()));
    }
    Ok(Node::Object(request))
}

fn check(chat: &Value) -> Result<(), Invalid> {
    let refused = |name: &'static str| Err(unsupported(name, TARGET_FORMAT));
    if let Some(name) = UNSUPPORTED_FIELDS.into_iter().find(|name| chat.get(*name).is_some_and(is_present)) {
        return refused(name);
    }
    // An empty object asks for a search.
    if chat.get("web_search_options").is_some_and(|options| !options.is_null()) {
        return refused("web_search_options");
    }
    if chat.get("top_logprobs").and_then(number::finite).is_some_and(|count| count > 0.0) {
        return refused("top_logprobs");
    }
    let says_nothing = |call: &Value| !is_present(call) || call == "none" || call == "auto";
    if chat.get("function_call").is_some_and(|call| !says_nothing(call)) {
        return refused("function_call");
    }
    if chat.get("n").and_then(number::finite).is_some_and(|answers| answers > 1.0) {
        return refused("n");
    }
    if list(chat, "modalities").iter().any(|kind| kind != "text") {
        return refused("modalities");
    }
    Ok(())
}

/// Anthropic requires a first user turn, and continues a last assistant turn where OpenAI answers anew.
fn check_turns(turns: &[Turn], written: usize) -> Result<(), Invalid> {
    let role = |turn: Option<&Turn>| turn.map(|turn| turn.role);
    if role(turns.first()) != Some("user") {
        let message = "`messages` must start with a message of the user for an upstream that speaks Anthropic's format";
        return Err(Invalid::new("messages", message));
    }
    if role(turns.last()) == Some("assistant") {
        return Err(unsupported(format!("messages[{}]", written.saturating_sub(1)), TARGET_FORMAT));
    }
    Ok(())
}

/// Returns whether Anthropic takes thinking in this request: not with a tool that must be called, and in a tool loop only if the
/// turn began with thinking (guide "Extended thinking", "Extended thinking with tool use").
fn may_think(chat: &Value, turns: &[Turn]) -> bool {
    let choice = chat.get("tool_choice").unwrap_or(&Value::Null);
    let must_call = choice.is_object() || choice == "required";
    let has_result = |turn: &Turn| turn.content.iter().any(|block| block.kind() == "tool_result");
    let is_in_loop = turns.last().is_some_and(has_result);
    let last = turns.iter().rev().find(|turn| turn.role == "assistant");
    let first = last.and_then(|turn| turn.content.first()).map_or("", Node::kind);
    !must_call && (!is_in_loop || matches!(first, "thinking" | "redacted_thinking"))
}

/// Returns a thinking budget that leaves at least half of `most` tokens for the answer; none if that is too little to think.
fn fitting(budget: u64, most: Option<u64>) -> Option<u64> {
    let budget = most.map_or(budget, |most| budget.min(most / 2));
    (budget >= LEAST_THINKING).then_some(budget)
}

/// Translates `temperature` and `top_p`. Anthropic's newer models take only one of the last two, and temperatures up
/// to 1; a value of 1 is the default of both.
fn sampling(chat: &Value, request: &mut Vec<(&'static str, Node)>) -> Result<(), Invalid> {
    let set = |name| -> Result<Option<Value>, Invalid> {
        let value =
            chat.get(name).filter(|value| !value.is_null()).map(|value| number::json(name, value)).transpose()?;
        Ok(value.filter(|value| value.as_f64() != Some(1.0)))
    };
    match (set("temperature")?, set("top_p")?) {
        (Some(temperature), _) if temperature.as_f64() > Some(1.0) => {
            request.push(("temperature", json!(1.0).into()));
        }
        (Some(temperature), _) => request.push(("temperature", temperature.into())),
        (None, Some(top_p)) => request.push(("top_p", top_p.into())),
        (None, None) => {}
    }
    Ok(())
}

/// Translates `stop`; Anthropic refuses blank sequences.
fn stop_sequences(chat: &Value, request: &mut Vec<(&'static str, Node)>) {
    let stop = chat.get("stop").unwrap_or(&Value::Null);
    let sequences = stop.as_array().map_or(std::slice::from_ref(stop), Vec::as_slice);
    let sequences: Vec<&str> =
        sequences.iter().filter_map(Value::as_str).filter(|sequence| !sequence.trim().is_empty()).collect();
    if !sequences.is_empty() {
        request.push(("stop_sequences", json!(sequences).into()));
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
fn push(turns: &mut Vec<Turn>, role: &'static str, content: Vec<Node>) {
    if content.is_empty() {
        return;
    }
    match turns.last_mut().filter(|turn| turn.role == role) {
        Some(turn) => turn.content.extend(content),
        None => turns.push(Turn { role, content }),
    }
}

impl Turn {
    fn into_node(self) -> Node {
        Node::Object(vec![("role", json!(self.role).into()), ("content", Node::List(self.content))])
    }
}

#[cfg(test)]
mod tests;
