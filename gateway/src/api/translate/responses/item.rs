//! Translates the input items of a responses request to chat messages.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    super::{
        Format,
        anthropic::request::Thinking,
        json::{text, unsupported},
        openai::content::plain,
        reasoning::{EXTRA, Returned},
        tool_id,
        tool_name::ToolNames,
        tree::Node,
    },
    content::parts,
    reasoning::block,
};
use crate::api::Invalid;

/// The chat messages so far.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    to: Format,
    /// The names of the tools, if the chat is sent as it is.
    names: Option<&'a ToolNames>,
    pub(super) list: Vec<Value>,
    /// The position of the item that each message begins with.
    pub(super) origins: Vec<usize>,
    pub(super) thinking: Thinking,
    open: Assistant,
    /// The ids of all calls so far.
    calls: HashSet<String>,
}

/// The turn of the assistant whose items are being read.
#[derive(Debug, Default)]
struct Assistant {
    origin: usize,
    blocks: Vec<Value>,
    parts: Vec<Value>,
    calls: Vec<Value>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(to: Format, names: Option<&'a ToolNames>) -> Self {
        Self {
            to,
            names,
            list: Vec::new(),
            origins: Vec::new(),
            thinking: Thinking::default(),
            open: Assistant::default(),
            calls: HashSet::new(),
        }
    }

    /// Returns the format that the messages are for.
    pub(super) fn format(&self) -> Format {
        self.to
    }

    /// Adds the item `idx`.
    pub(super) fn read(&mut self, idx: usize, item: &Value) -> Result<(), Invalid> {
        let path = format!("input[{idx}]");
        match (text(item, "type"), text(item, "role")) {
            ("" | "message", "assistant") => self.said(idx, item, &path),
            ("" | "message", role @ ("user" | "system" | "developer")) => self.message(idx, role, item, &path),
            ("function_call", _) => self.call(idx, item, &path),
            ("function_call_output", _) => self.output(idx, item, &path),
            ("reasoning", _) => self.reasoning(idx, item, &path),
            ("" | "message", _) => {
                let path = format!("{path}.role");
                Err(Invalid::new(path.clone(), format!("`{path}` must be user, assistant, system or developer")))
            }
            _ => Err(unsupported(path, self.to.name())),
        }
    }

    /// Adds a message that is not the assistant's.
    fn message(&mut self, idx: usize, role: &str, item: &Value, path: &str) -> Result<(), Invalid> {
        self.flush();
        let parts = parts(item.get("content").unwrap_or(&Value::Null), self.to, &format!("{path}.content"))?;
        let role = if role == "user" { "user" } else { "system" };
        self.push(idx, json!({"role": role, "content": plain(parts)}));
        Ok(())
    }

    fn said(&mut self, idx: usize, item: &Value, path: &str) -> Result<(), Invalid> {
        let parts = parts(item.get("content").unwrap_or(&Value::Null), self.to, &format!("{path}.content"))?;
        if let Some(at) = parts.iter().position(|part| text(part, "type") != "text") {
            return Err(unsupported(format!("{path}.content[{at}]"), self.to.name()));
        }
        // Anthropic's blocks keep their order; a chat message has its text before its calls.
        if !self.open.parts.is_empty() || (self.to == Format::Anthropic && !self.open.calls.is_empty()) {
            self.flush_unless_calling();
        }
        self.open(idx).parts.extend(parts);
        Ok(())
    }

    fn call(&mut self, idx: usize, item: &Value, path: &str) -> Result<(), Invalid> {
        let id = call_id(item, path)?;
        if self.open.calls.iter().any(|call| text(call, "id") == self.id(id)) {
            let path = format!("{path}.call_id");
            return Err(Invalid::new(path.clone(), format!("`{path}` must differ from the ids of other calls")));
        }
        let arguments = text(item, "arguments");
        if self.to == Format::Anthropic && !arguments.trim().is_empty() && Node::raw_object(arguments).is_none() {
            let path = format!("{path}.arguments");
            return Err(Invalid::new(path.clone(), format!("`{path}` must be a JSON object")));
        }
        let name = text(item, "name");
        let name = self.names.map_or_else(|| name.to_owned(), |names| names.map(name).into_owned());
        let call = json!({"id": self.id(id), "type": "function", "function": {"name": name, "arguments": arguments}});
        self.calls.insert(id.to_owned());
        self.open(idx).calls.push(call);
        Ok(())
    }

    /// Adds the output of a call. Only a user message of a chat may show images, so they follow the outputs.
    fn output(&mut self, idx: usize, item: &Value, path: &str) -> Result<(), Invalid> {
        let id = call_id(item, path)?;
        if !self.calls.contains(id) {
            let path = format!("{path}.call_id");
            return Err(Invalid::new(path.clone(), format!("`{path}` must be the id of a call before it in `input`")));
        }
        self.flush();
        let written = parts(item.get("output").unwrap_or(&Value::Null), self.to, &format!("{path}.output"))?;
        let is_kept = |part: &Value| self.to == Format::Anthropic || text(part, "type") == "text";
        let (kept, shown): (Vec<Value>, Vec<Value>) = written.into_iter().partition(is_kept);
        let message = json!({"role": "tool", "tool_call_id": self.id(id), "content": plain(kept)});
        // Outputs of one turn stay together.
        let at = self.list.iter().rposition(|message| text(message, "role") != "user").map_or(0, |last| last + 1);
        let follows_output = at < self.list.len() && self.list.get(at.wrapping_sub(1)).is_some_and(is_output);
        if follows_output {
            self.list.insert(at, message);
            self.origins.insert(at, idx);
        } else {
            self.push(idx, message);
        }
        if !shown.is_empty() {
            self.push(idx, json!({"role": "user", "content": shown}));
        }
        Ok(())
    }

    /// Takes a reasoning item. One without `encrypted_content` is a summary for people.
    fn reasoning(&mut self, idx: usize, item: &Value, path: &str) -> Result<(), Invalid> {
        let encrypted = text(item, "encrypted_content");
        if encrypted.is_empty() {
            return Ok(());
        }
        let Some(block) = block(encrypted) else {
            let path = format!("{path}.encrypted_content");
            let message = format!("`{path}` can be read only by the service that wrote it");
            return Err(Invalid::new(path, message));
        };
        if !self.open.parts.is_empty() || !self.open.calls.is_empty() {
            self.flush_unless_calling();
        }
        self.open(idx).blocks.push(block);
        Ok(())
    }

    /// Ends the assistant's turn.
    pub(super) fn flush(&mut self) {
        let Assistant { origin, blocks, parts, calls } = std::mem::take(&mut self.open);
        if parts.is_empty() && calls.is_empty() {
            return;
        }
        let said: String = parts.iter().map(|part| text(part, "text")).collect();
        let content = if parts.is_empty() { Value::Null } else { Value::from(said) };
        let mut message = serde_json::Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        message.insert("content".to_owned(), content);
        let mut calls = calls;
        if self.to == Format::Openai {
            let mut returned = Returned::default();
            blocks.iter().for_each(|block| returned.read(block));
            for call in &mut calls {
                let extra = returned.extra(&tool_id::to_anthropic(text(call, "id"))).cloned();
                if let (Some(extra), Some(call)) = (extra, call.as_object_mut()) {
                    call.insert(EXTRA.to_owned(), extra);
                }
            }
            if let Some((name, thought)) = returned.reasoning {
                message.insert(name.to_owned(), Value::from(thought));
            }
        } else {
            // Thinking of other vendors means nothing to Anthropic.
            let own: Vec<Value> = blocks.into_iter().filter(|block| !Returned::is_marked(block)).collect();
            self.thinking.returned.insert(self.list.len(), own);
        }
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::from(calls));
        }
        self.push(origin, Value::Object(message));
    }

    /// Ends the turn, unless a chat message with calls goes on: the outputs of its calls must follow it directly.
    fn flush_unless_calling(&mut self) {
        if self.to == Format::Anthropic || self.open.calls.is_empty() {
            self.flush();
        }
    }

    fn open(&mut self, idx: usize) -> &mut Assistant {
        if self.open.blocks.is_empty() && self.open.parts.is_empty() && self.open.calls.is_empty() {
            self.open.origin = idx;
        }
        &mut self.open
    }

    fn push(&mut self, idx: usize, message: Value) {
        self.list.push(message);
        self.origins.push(idx);
    }

    /// Returns a call's id as the chat has it.
    fn id(&self, id: &str) -> String {
        match self.to {
            Format::Openai => tool_id::to_openai(id).into_owned(),
            Format::Anthropic => id.to_owned(),
        }
    }
}

fn is_output(message: &Value) -> bool {
    text(message, "role") == "tool"
}

fn call_id<'i>(item: &'i Value, path: &str) -> Result<&'i str, Invalid> {
    match text(item, "call_id") {
        "" => {
            let path = format!("{path}.call_id");
            Err(Invalid::new(path.clone(), format!("`{path}` must be the id of the call")))
        }
        id => Ok(id),
    }
}
