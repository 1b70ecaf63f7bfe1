//! Translates the tools of a responses request, and the choice among them, to those of a chat.

use serde_json::{Map, Value, json};

use super::super::{
    Format,
    json::{list, text, unsupported},
    schema,
    tool_name::ToolNames,
};
use crate::api::Invalid;

/// Returns the names of the request's functions.
pub(in super::super) fn names(written: &Value) -> impl Iterator<Item = &str> + Clone {
    list(written, "tools").iter().map(|tool| text(tool, "name"))
}

/// Adds the tools, and the choice among them, to `chat`.
pub(super) fn tools(
    written: &Value,
    to: Format,
    known: Option<&ToolNames>,
    chat: &mut Map<String, Value>,
) -> Result<(), Invalid> {
    let choice = written.get("tool_choice").unwrap_or(&Value::Null);
    let allowed = (text(choice, "type") == "allowed_tools").then(|| list(choice, "tools"));
    let is_allowed = |name: &str| allowed.is_none_or(|allowed| allowed.iter().any(|tool| text(tool, "name") == name));
    let mapped = |name: &str| known.map_or_else(|| name.to_owned(), |names| names.map(name).into_owned());
    let mut tools = Vec::new();
    for (idx, tool) in list(written, "tools").iter().enumerate() {
        let path = format!("tools[{idx}]");
        let name = text(tool, "name");
        if text(tool, "type") != "function" {
            return Err(unsupported(path, to.name()));
        }
        if name.is_empty() {
            let path = format!("{path}.name");
            return Err(Invalid::new(path.clone(), format!("`{path}` must be the name of the function")));
        }
        if is_allowed(name) {
            tools.push(json!({"type": "function", "function": function(tool, &mapped(name))}));
        }
    }
    let chosen = chosen(choice, to, mapped)?;
    if tools.is_empty() {
        return Ok(());
    }
    chat.insert("tools".to_owned(), Value::from(tools));
    if let Some(chosen) = chosen {
        chat.insert("tool_choice".to_owned(), chosen);
    }
    if let Some(parallel) = written.get("parallel_tool_calls").filter(|parallel| parallel.is_boolean()) {
        chat.insert("parallel_tool_calls".to_owned(), parallel.clone());
    }
    Ok(())
}

fn function(tool: &Value, name: &str) -> Value {
    let schema = schema::object(tool.get("parameters"));
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(name));
    let description = text(tool, "description");
    if !description.is_empty() {
        function.insert("description".to_owned(), json!(description));
    }
    if tool.get("strict") == Some(&Value::Bool(true)) && schema::can_be_strict(&schema) {
        function.insert("strict".to_owned(), Value::Bool(true));
    }
    function.insert("parameters".to_owned(), schema);
    Value::Object(function)
}

/// Translates the choice of a tool; the tools that `allowed_tools` leaves out are not sent.
fn chosen(choice: &Value, to: Format, mapped: impl Fn(&str) -> String) -> Result<Option<Value>, Invalid> {
    match (choice, text(choice, "type")) {
        (Value::Null, _) => Ok(None),
        (Value::String(mode), _) if matches!(mode.as_str(), "auto" | "none" | "required") => Ok(Some(choice.clone())),
        (_, "function") => Ok(Some(json!({"type": "function", "function": {"name": mapped(text(choice, "name"))}}))),
        (_, "allowed_tools") => Ok(Some(json!(if text(choice, "mode") == "required" { "required" } else { "auto" }))),
        _ => Err(unsupported("tool_choice", to.name())),
    }
}
