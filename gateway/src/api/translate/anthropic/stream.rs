//! Translates a stream of chat completion chunks to a stream of message events, chunk by chunk.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    super::{
        json::{error_event, is_present, list, read, stream_error, text, text_of},
        reasoning, tool_id,
        tool_name::ToolNames,
    },
    calls::{Calls, block},
    response_id, stop_reason, usage,
};
use crate::api::{
    Wire,
    sse::{self, Splitter},
};

/// What the client's request says about its response.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The id of the message if the upstream sends none.
    pub id: String,
    /// The model to name if the upstream names none.
    pub model: String,
    /// Whether the client asked for thinking blocks.
    pub has_thinking: bool,
    /// Whether the usage keeps the count of reasoning tokens, which messages do not have.
    pub keeps_details: bool,
    /// The tool names that were mapped in the request.
    pub(in super::super) names: Arc<ToolNames>,
}

/// Translates one stream.
#[derive(Debug)]
pub struct Events {
    splitter: Splitter,
    expected: Expected,
    /// The id of the message; empty before it has begun.
    id: String,
    /// The number of content blocks so far.
    blocks: usize,
    /// The block that is open.
    open: Option<Block>,
    calls: Calls,
    /// Extra content of calls by the upstream's id, to be returned with them.
    extra: Map<String, Value>,
    /// Reasoning that the client did not ask for, and the name of its field; it is returned with a tool call.
    hidden: Option<(&'static str, String)>,
    /// Text that arrived between the fragments of a tool call; it follows the call, as blocks must not interleave.
    held: String,
    usage: Option<Value>,
    finish_reason: Option<String>,
    failure: Option<&'static str>,
    ended: bool,
}

/// The kind of an open content block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Call,
    /// Reasoning of the field of this name.
    Thinking(&'static str),
}

impl Events {
    /// Returns a translator of events of at most `most` bytes.
    pub fn new(most: usize, expected: Expected) -> Self {
        Self {
            splitter: Splitter::new(most),
            expected,
            id: String::new(),
            blocks: 0,
            open: None,
            calls: Calls::default(),
            extra: Map::new(),
            hidden: None,
            held: String::new(),
            usage: None,
            finish_reason: None,
            failure: None,
            ended: false,
        }
    }

    /// Takes a chunk of the upstream's stream and returns the translated text, which may be empty.
    pub fn push(&mut self, piece: Bytes) -> String {
        let whole = self.splitter.push(piece);
        match whole {
            Some(_) if self.splitter.is_half_out() => self.fail("the upstream sent an event that is too long"),
            Some(whole) => self.read(&whole),
            None => String::new(),
        }
    }

    /// Returns the translated text for the end of the stream. Some upstreams never send `[DONE]`: with a finish reason the
    /// response is complete; without one it is truncated, and no final event follows.
    pub fn finish(&mut self) -> String {
        let rest = self.splitter.finish_event();
        let written = self.read(&rest);
        if self.finish_reason.is_some() { written + &self.stop() } else { written }
    }

    fn read(&mut self, whole: &[u8]) -> String {
        sse::data(whole).iter().map(|data| self.event(data)).collect()
    }

    fn event(&mut self, data: &str) -> String {
        if self.ended || data.trim().is_empty() {
            return String::new();
        }
        if data.trim() == "[DONE]" {
            return match self.finish_reason {
                Some(_) => self.stop(),
                None => self.broken("the upstream ended the stream before the response was complete"),
            };
        }
        let Some(chunk) = read(data.as_bytes()) else {
            return self.fail("the upstream sent an event that cannot be read");
        };
        if let Some(message) = stream_error(&chunk) {
            return self.broken(message);
        }
        if let Some(counted) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(self.counted(counted));
        }
        let choices = list(&chunk, "choices");
        // Azure starts with a chunk about its filter that has no choice, id or model.
        if choices.is_empty() && text(&chunk, "id").is_empty() {
            return String::new();
        }
        let mut written = self.begin(&chunk);
        for choice in choices.iter().filter(|choice| choice_index(choice) == 0) {
            written.push_str(&self.delta(choice.get("delta").unwrap_or(&Value::Null)));
            let reason = text(choice, "finish_reason");
            if reason == "error" {
                return written + &self.broken("the upstream failed before the response was complete");
            }
            if !reason.is_empty() {
                self.finish_reason = Some(reason.to_owned());
            }
        }
        written
    }

    fn counted(&self, written: &Value) -> Value {
        let mut usage = usage(written);
        let details = written.get("completion_tokens_details").filter(|_| self.expected.keeps_details);
        if let (Some(details), Some(usage)) = (details, usage.as_object_mut()) {
            usage.insert("output_tokens_details".to_owned(), details.clone());
        }
        usage
    }

    fn begin(&mut self, chunk: &Value) -> String {
        if !self.id.is_empty() {
            return String::new();
        }
        self.id = response_id(chunk, &self.expected.id);
        let model = Some(text(chunk, "model")).filter(|model| !model.is_empty()).unwrap_or(&self.expected.model);
        // OpenAI reports usage at the end; the last event corrects these zeros.
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
        });
        write(&json!({"type": "message_start", "message": message}))
    }

    fn delta(&mut self, delta: &Value) -> String {
        let mut written = String::new();
        let thought = reasoning::of(delta);
        if let Some((name, thought)) = thought {
            written.push_str(&self.write_reasoning(name, thought));
        }
        for text in [text_of(delta.get("content").unwrap_or(&Value::Null)), text(delta, "refusal").into()] {
            if !text.is_empty() {
                written.push_str(&self.write_text(&text));
            }
        }
        for call in list(delta, "tool_calls") {
            self.calls.read(call);
            if let Some(extra) = call.get(reasoning::EXTRA).filter(|extra| is_present(extra)) {
                self.extra.insert(text(call, "id").to_owned(), extra.clone());
            }
        }
        written.push_str(&self.write_calls(false));
        // A ping keeps the connection alive while nothing is shown.
        if written.is_empty() && (thought.is_some() || delta.get("content").is_some_and(Value::is_array)) {
            written = write(&json!({"type": "ping"}));
        }
        written
    }

    fn write_reasoning(&mut self, name: &'static str, thought: &str) -> String {
        // Thinking comes before everything else; later reasoning is kept for the next turn only.
        let is_first = self.blocks == 0 || matches!(self.open, Some(Block::Thinking(_)));
        if !self.expected.has_thinking || !is_first {
            self.hidden.get_or_insert((name, String::new())).1.push_str(thought);
            return String::new();
        }
        let mut written = String::new();
        if self.open.is_none() {
            let block = json!({"type": "thinking", "thinking": "", "signature": ""});
            written = self.start_block(Block::Thinking(name), &block);
        }
        written + &self.write_delta(&json!({"type": "thinking_delta", "thinking": thought}))
    }

    fn write_text(&mut self, text: &str) -> String {
        if !self.held.is_empty() || self.calls.is_half() {
            self.held.push_str(text);
            return String::new();
        }
        let mut written = String::new();
        if self.open != Some(Block::Text) {
            written = self.write_calls(true);
            written.push_str(&self.start_block(Block::Text, &json!({"type": "text", "text": ""})));
        }
        let delta = json!({"type": "text_delta", "text": text});
        written + &self.write_delta(&delta)
    }

    /// Writes the fragments of tool calls that can be written; with `all`, every remaining one.
    fn write_calls(&mut self, all: bool) -> String {
        let mut written = String::new();
        while let Some(call) = self.calls.next(all, &self.id) {
            if let Some(begin) = &call.begin {
                written.push_str(&self.write_returned(&begin.id));
                let name = Arc::clone(&self.expected.names);
                written.push_str(&self.start_block(Block::Call, &block(&begin.id, name.original(&begin.name))));
            }
            if !call.arguments.is_empty() {
                written
                    .push_str(&self.write_delta(&json!({"type": "input_json_delta", "partial_json": call.arguments})));
            }
        }
        written
    }

    /// Writes the blocks that the upstream wants back with the call that the client calls `id`.
    fn write_returned(&mut self, id: &str) -> String {
        let mut blocks = Vec::new();
        if let Some((name, thought)) = self.hidden.take() {
            blocks.push(reasoning::block(name, &thought, false));
        }
        let original = self.extra.keys().find(|known| tool_id::to_anthropic(known) == id || known.is_empty()).cloned();
        if let Some(extra) = original.and_then(|known| self.extra.shift_remove(&known)) {
            blocks.push(reasoning::extra_block(id, &extra));
        }
        let mut written = String::new();
        for block in blocks {
            written.push_str(&self.close_block());
            written.push_str(&self.write_start(&block));
            written.push_str(&write(&json!({"type": "content_block_stop", "index": self.blocks - 1})));
        }
        written
    }

    /// Writes a delta of the open block, which is always the last one.
    fn write_delta(&self, delta: &Value) -> String {
        write(&json!({"type": "content_block_delta", "index": self.blocks.saturating_sub(1), "delta": delta}))
    }

    fn start_block(&mut self, kind: Block, block: &Value) -> String {
        let written = self.close_block();
        self.open = Some(kind);
        written + &self.write_start(block)
    }

    fn write_start(&mut self, block: &Value) -> String {
        let idx = self.blocks;
        self.blocks += 1;
        write(&json!({"type": "content_block_start", "index": idx, "content_block": block}))
    }

    fn close_block(&mut self) -> String {
        let Some(open) = self.open.take() else {
            return String::new();
        };
        let signed = match open {
            Block::Thinking(name) => {
                self.write_delta(&json!({"type": "signature_delta", "signature": reasoning::signature(name)}))
            }
            Block::Text | Block::Call => String::new(),
        };
        signed + &write(&json!({"type": "content_block_stop", "index": self.blocks.saturating_sub(1)}))
    }

    fn stop(&mut self) -> String {
        if self.id.is_empty() || std::mem::replace(&mut self.ended, true) {
            return String::new();
        }
        let mut written = self.write_calls(true);
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            written.push_str(&self.write_text(&held));
        }
        written.push_str(&self.close_block());
        let reason = stop_reason(self.finish_reason.as_deref().unwrap_or_default(), !self.calls.is_empty());
        let usage = self.usage.take().unwrap_or_else(|| json!({"output_tokens": 0}));
        let delta = json!({"stop_reason": reason, "stop_sequence": null});
        let end = write(&json!({"type": "message_delta", "delta": delta, "usage": usage}));
        written + &end + &write(&json!({"type": "message_stop"}))
    }

    /// Ends a stream whose rest cannot be translated.
    fn fail(&mut self, reason: &'static str) -> String {
        if !std::mem::replace(&mut self.ended, true) {
            self.failure = Some(reason);
        }
        String::new()
    }

    /// Returns, once, why the rest of the stream cannot be translated.
    pub fn failure(&mut self) -> Option<&'static str> {
        self.failure.take()
    }

    fn broken(&mut self, message: &str) -> String {
        if std::mem::replace(&mut self.ended, true) {
            return String::new();
        }
        error_event(Wire::Messages, message)
    }
}

fn choice_index(choice: &Value) -> u64 {
    choice.get("index").and_then(Value::as_u64).unwrap_or(0)
}

fn write(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", text(event, "type"))
}
