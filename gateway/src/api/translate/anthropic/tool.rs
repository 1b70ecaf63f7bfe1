//! Translates tools, their calls and their results to Anthropic's format.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    super::{
        json::{is_present, list, text, unsupported},
        schema, tool_id,
        tool_name::ToolNames,
        tree::Node,
    },
    TARGET_FORMAT,
    calls::arguments_of,
};
use crate::api::Invalid;

/// The ids of the calls so far, as Anthropic takes them. It requires them to be unique in the whole conversation, while some
/// vendors number the calls of each turn anew.
#[derive(Debug, Default)]
pub(super) struct CallIds(HashMap<String, usize>);

impl CallIds {
    /// Returns the id of a new call that the client calls `id`.
    fn call(&mut self, id: &str) -> String {
        let uses = self.0.entry(id.to_owned()).or_insert(0);
        *uses += 1;
        Self::nth(id, *uses)
    }

    /// Returns the id of the last call that the client calls `id`.
    fn result(&self, id: &str) -> String {
        Self::nth(id, self.0.get(id).copied().unwrap_or(1))
    }

    fn nth(id: &str, uses: usize) -> String {
        match uses {
            ..=1 => tool_id::to_anthropic(id).into_owned(),
            uses => tool_id::to_anthropic(&format!("{id}#{uses}")).into_owned(),
        }
    }
}

/// Returns the blocks of an assistant message with the text blocks `content`.
pub(super) fn assistant(
    message: &Value,
    content: Vec<Value>,
    (ids, names): (&mut CallIds, &ToolNames),
    path: &str,
) -> Result<Vec<Node>, Invalid> {
    if let Some(name) = ["function_call", "audio"].into_iter().find(|name| message.get(*name).is_some_and(is_present)) {
        return Err(unsupported(format!("{path}.{name}"), TARGET_FORMAT));
    }
    let mut blocks: Vec<Node> = content.into_iter().map(Node::from).collect();
    let refusal = text(message, "refusal");
    if !refusal.trim().is_empty() {
        blocks.push(json!({"type": "text", "text": refusal}).into());
    }
    let mut in_this_turn: Vec<&str> = Vec::new();
    for (idx, call) in list(message, "tool_calls").iter().enumerate() {
        let path = format!("{path}.tool_calls[{idx}]");
        let Some(function) = call.get("function") else {
            return Err(unsupported(path, TARGET_FORMAT));
        };
        let written = arguments_of(function);
        let input = if written.trim().is_empty() { Some(json!({}).into()) } else { Node::raw_object(&written) };
        let Some(input) = input else {
            return Err(Invalid::new(format!("{path}.function.arguments"), "the arguments must be a JSON object"));
        };
        let id = text(call, "id");
        if id.is_empty() || in_this_turn.contains(&id) {
            let path = format!("{path}.id");
            let message = format!("`{path}` must be an id of its own, so that its result can be told from others");
            return Err(Invalid::new(path, message));
        }
        in_this_turn.push(id);
        blocks.push(Node::Object(vec![
            ("type", json!("tool_use").into()),
            ("id", json!(ids.call(id)).into()),
            ("name", json!(names.map(text(function, "name"))).into()),
            ("input", input),
        ]));
    }
    Ok(blocks)
}

/// Returns the block of the tool message `message` with the blocks `content`.
pub(super) fn tool_result(message: &Value, content: &[Value], ids: &CallIds, path: &str) -> Result<Node, Invalid> {
    let id = text(message, "tool_call_id");
    if id.is_empty() {
        let path = format!("{path}.tool_call_id");
        let message = format!("`{path}` must be the id of the tool call");
        return Err(Invalid::new(path, message));
    }
    Ok(json!({"type": "tool_result", "tool_use_id": ids.result(id), "content": content}).into())
}

/// Translates the tools.
pub(super) fn tools(chat: &Value, names: &ToolNames) -> Result<Vec<Value>, Invalid> {
    let mut tools = Vec::new();
    for (idx, tool) in list(chat, "tools").iter().enumerate() {
        let Some(function) = tool.get("function") else {
            return Err(unsupported(format!("tools[{idx}]"), TARGET_FORMAT));
        };
        let schema = schema::object(function.get("parameters"));
        let mut written = Map::new();
        written.insert("name".to_owned(), json!(names.map(text(function, "name"))));
        if function.get("strict") == Some(&Value::Bool(true)) && schema::can_be_strict(&schema) {
            written.insert("strict".to_owned(), Value::Bool(true));
        }
        written.insert("input_schema".to_owned(), schema);
        let description = text(function, "description");
        if !description.is_empty() {
            written.insert("description".to_owned(), json!(description));
        }
        tools.push(Value::Object(written));
    }
    Ok(tools)
}

/// Translates the choice of a tool.
pub(super) fn tool_choice(chat: &Value, names: &ToolNames) -> Result<Value, Invalid> {
    let choice = chat.get("tool_choice").unwrap_or(&Value::Null);
    let mut written = match (choice, choice.pointer("/function/name").and_then(Value::as_str)) {
        (_, Some(name)) => json!({"type": "tool", "name": names.map(name)}),
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
    fn an_id_that_is_used_again_in_a_later_turn_becomes_another_one() {
        let mut ids = CallIds::default();
        let first = ids.call("functions.f:0");
        assert_eq!(ids.result("functions.f:0"), first);
        let second = ids.call("functions.f:0");
        assert_ne!(first, second);
        assert_eq!(ids.result("functions.f:0"), second);
    }

    #[test]
    fn calls_without_an_id_of_their_own_are_refused_with_their_place() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        for ids in [["", "a"], ["a", "a"]] {
            let message = json!({"tool_calls": ids.map(call)});
            let mut state = (CallIds::default(), ToolNames::default());
            let refused = assistant(&message, Vec::new(), (&mut state.0, &state.1), "messages[1]").unwrap_err();
            assert!(refused.param.ends_with("].id") && refused.param.starts_with("messages[1]"), "{refused:?}");
        }
    }
}
