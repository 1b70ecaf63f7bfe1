//! Writes one response: its events in order, and the whole object that the last of them contains.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    super::tool_id,
    expected::{Expected, incomplete_reason},
};

/// The response so far.
#[derive(Debug)]
pub(super) struct Output {
    expected: Arc<Expected>,
    model: String,
    /// The number of the next event.
    sequence: u64,
    /// The finished items.
    items: Vec<Value>,
    open: Option<Item>,
    /// The events that have not been taken.
    events: String,
    has_begun: bool,
}

/// The item that is being written; its position is the number of finished items.
#[derive(Debug)]
enum Item {
    Message { text: String },
    Call { call_id: String, name: String, arguments: String },
    Reasoning { text: String },
}

impl Output {
    pub(super) fn new(expected: Arc<Expected>, model: String) -> Self {
        Self { expected, model, sequence: 0, items: Vec::new(), open: None, events: String::new(), has_begun: false }
    }

    /// Returns the events since the last call.
    pub(super) fn take_events(&mut self) -> String {
        std::mem::take(&mut self.events)
    }

    /// Begins the response, once; `model` is empty if the upstream names none.
    pub(super) fn begin(&mut self, model: &str) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        if !model.is_empty() {
            model.clone_into(&mut self.model);
        }
        let response = self.response("in_progress", &Map::new());
        self.event("response.created", json!({"response": response}));
        self.event("response.in_progress", json!({"response": response}));
    }

    /// Adds text to the open message, or to a new one.
    pub(super) fn text(&mut self, delta: &str) {
        if !matches!(self.open, Some(Item::Message { .. })) {
            self.start(Item::Message { text: String::new() });
            let part = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
            let id = self.item_id();
            self.part_event("response.content_part.added", &id, "content_index", json!({"part": part}));
        }
        if let Some(Item::Message { text }) = &mut self.open {
            text.push_str(delta);
        }
        if !delta.is_empty() {
            let delta = json!({"delta": delta, "logprobs": []});
            let id = self.item_id();
            self.part_event("response.output_text.delta", &id, "content_index", delta);
        }
    }

    /// Returns the id of the next call as clients take it; a new one if the upstream's `id` is empty.
    pub(super) fn call_id(&self, id: &str) -> String {
        let position = self.items.len() + usize::from(self.open.is_some());
        tool_id::openai_or_invented(id, &self.expected.id, position)
    }

    /// Starts a call; its id is the client's.
    pub(super) fn call(&mut self, call_id: &str, name: &str) {
        let (call_id, name) = (call_id.to_owned(), name.to_owned());
        self.start(Item::Call { call_id, name, arguments: String::new() });
    }

    /// Adds a fragment of the arguments of the open call.
    pub(super) fn arguments(&mut self, delta: &str) {
        let Some(Item::Call { arguments, .. }) = &mut self.open else {
            return;
        };
        arguments.push_str(delta);
        if !delta.is_empty() {
            let id = self.item_id();
            self.item_event("response.function_call_arguments.delta", &id, json!({"delta": delta}));
        }
    }

    /// Returns whether the open item is a call.
    pub(super) fn is_calling(&self) -> bool {
        matches!(self.open, Some(Item::Call { .. }))
    }

    /// Returns whether the open call has arguments.
    pub(super) fn has_arguments(&self) -> bool {
        matches!(&self.open, Some(Item::Call { arguments, .. }) if !arguments.is_empty())
    }

    /// Starts a reasoning item.
    pub(super) fn reasoning(&mut self) {
        self.start(Item::Reasoning { text: String::new() });
    }

    /// Adds text to the open reasoning item; clients see it if they asked for summaries. Returns whether an event shows it.
    pub(super) fn thought(&mut self, delta: &str) -> bool {
        let is_shown = self.expected.shows_reasoning && !delta.is_empty();
        let Some(Item::Reasoning { text }) = &mut self.open else {
            return false;
        };
        let is_first = text.is_empty();
        text.push_str(delta);
        if !is_shown {
            return false;
        }
        let id = self.item_id();
        if is_first {
            let part = json!({"part": {"type": "summary_text", "text": ""}});
            self.part_event("response.reasoning_summary_part.added", &id, "summary_index", part);
        }
        self.part_event("response.reasoning_summary_text.delta", &id, "summary_index", json!({"delta": delta}));
        true
    }

    /// Ends the open reasoning item, which the client returns as `encrypted_content`.
    pub(super) fn seal(&mut self, encrypted_content: &str) {
        let id = self.item_id();
        let Some(Item::Reasoning { text }) = self.open.take() else {
            return;
        };
        let is_shown = self.expected.shows_reasoning && !text.is_empty();
        if is_shown {
            let part = json!({"type": "summary_text", "text": text});
            self.part_event("response.reasoning_summary_text.done", &id, "summary_index", json!({"text": text}));
            self.part_event("response.reasoning_summary_part.done", &id, "summary_index", json!({"part": part}));
        }
        let mut item = self.reasoning_item(if is_shown { &text } else { "" });
        if let Some(item) = item.as_object_mut() {
            item.insert("encrypted_content".to_owned(), json!(encrypted_content));
        }
        self.finish_item(item);
    }

    /// Ends the open item; `status` is `completed` or `incomplete`.
    pub(super) fn close(&mut self, status: &str) {
        let id = self.item_id();
        match self.open.take() {
            Some(Item::Message { text }) => {
                let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
                let done = json!({"text": text, "logprobs": []});
                self.part_event("response.output_text.done", &id, "content_index", done);
                self.part_event("response.content_part.done", &id, "content_index", json!({"part": part}));
                let item =
                    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [part]});
                self.finish_item(item);
            }
            Some(Item::Call { call_id, name, arguments }) => {
                let done = json!({"name": name, "arguments": arguments});
                self.item_event("response.function_call_arguments.done", &id, done);
                let item = json!({"id": id, "type": "function_call", "status": status, "call_id": call_id,
                                  "name": name, "arguments": arguments});
                self.finish_item(item);
            }
            // Thinking that has no signature cannot be returned.
            Some(Item::Reasoning { text }) => {
                let item = self.reasoning_item(if self.expected.shows_reasoning { &text } else { "" });
                self.finish_item(item);
            }
            None => {}
        }
    }

    /// Ends the response for Anthropic's `stop_reason`, and returns it.
    pub(super) fn finish(&mut self, stop_reason: &str, usage: &Value) -> Value {
        let reason = incomplete_reason(stop_reason);
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        self.close(status);
        let mut fields = Map::new();
        fields.insert("usage".to_owned(), usage.clone());
        if let Some(reason) = reason {
            fields.insert("incomplete_details".to_owned(), json!({"reason": reason}));
        }
        let response = self.response(status, &fields);
        self.event(&format!("response.{status}"), json!({"response": response}));
        response
    }

    /// Ends the response with an error of the upstream: the failed response, and the event that client libraries raise.
    pub(super) fn fail(&mut self, message: &str) {
        self.begin("");
        let mut fields = Map::new();
        fields.insert("error".to_owned(), json!({"code": "server_error", "message": message}));
        let response = self.response("failed", &fields);
        self.event("response.failed", json!({"response": response}));
        let error =
            json!({"type": "upstream_error", "code": "upstream_stream_error", "message": message, "param": null});
        let flat = json!({"code": "upstream_stream_error", "message": message, "param": null, "error": error});
        self.event("error", flat);
    }

    /// Adds a comment that keeps the connection alive.
    pub(super) fn alive(&mut self) {
        self.events.push_str(": alive\n\n");
    }

    fn start(&mut self, item: Item) {
        self.close("completed");
        let id = self.item_id_of(&item);
        let written = match &item {
            Item::Message { .. } => {
                json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []})
            }
            Item::Call { call_id, name, .. } => json!({"id": id, "type": "function_call", "status": "in_progress",
                                                       "call_id": call_id, "name": name, "arguments": ""}),
            Item::Reasoning { .. } => json!({"id": id, "type": "reasoning", "summary": []}),
        };
        self.open = Some(item);
        self.event("response.output_item.added", json!({"output_index": self.items.len(), "item": written}));
    }

    fn finish_item(&mut self, item: Value) {
        self.event("response.output_item.done", json!({"output_index": self.items.len(), "item": item}));
        self.items.push(item);
    }

    fn reasoning_item(&self, summary: &str) -> Value {
        let summary = if summary.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": summary}]) };
        json!({"id": self.expected.item_id("rs", self.items.len()), "type": "reasoning", "summary": summary})
    }

    fn item_id(&self) -> String {
        self.open.as_ref().map(|item| self.item_id_of(item)).unwrap_or_default()
    }

    fn item_id_of(&self, item: &Item) -> String {
        let prefix = match item {
            Item::Message { .. } => "msg",
            Item::Call { .. } => "fc",
            Item::Reasoning { .. } => "rs",
        };
        self.expected.item_id(prefix, self.items.len())
    }

    /// Returns the response object with `status`, and with `fields` in place of the usual ones.
    fn response(&self, status: &str, fields: &Map<String, Value>) -> Value {
        let mut response = self.expected.repeated.clone();
        response.insert("id".to_owned(), json!(self.expected.id));
        response.insert("object".to_owned(), json!("response"));
        response.insert("created_at".to_owned(), json!(self.expected.created));
        response.insert("status".to_owned(), json!(status));
        response.insert("error".to_owned(), Value::Null);
        response.insert("incomplete_details".to_owned(), Value::Null);
        response.insert("model".to_owned(), json!(self.model));
        response.insert("output".to_owned(), Value::from(self.items.clone()));
        response.insert("usage".to_owned(), Value::Null);
        response.extend(fields.clone());
        Value::Object(response)
    }

    /// Writes an event about the first part of the item `id`; `position` names the field of the part's index.
    fn part_event(&mut self, kind: &str, id: &str, position: &str, mut fields: Value) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert(position.to_owned(), json!(0));
        }
        self.item_event(kind, id, fields);
    }

    /// Writes an event about the item `id`, which is the last one.
    fn item_event(&mut self, kind: &str, id: &str, mut fields: Value) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("item_id".to_owned(), json!(id));
            fields.insert("output_index".to_owned(), json!(self.items.len()));
        }
        self.event(kind, fields);
    }

    fn event(&mut self, kind: &str, fields: Value) {
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(kind));
        event.insert("sequence_number".to_owned(), json!(self.sequence));
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.sequence += 1;
        self.events.push_str(&format!("event: {kind}\ndata: {}\n\n", Value::Object(event)));
    }
}
