//! Translates a stream of chat completion chunks to a stream of message events, chunk by chunk.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::json::{error_event, error_message, is_present, list, read, text, text_of},
    calls::Calls,
    stop_reason, usage,
};
use crate::api::{
    Wire,
    sse::{self, Splitter},
};

/// Translates one stream.
#[derive(Debug)]
pub struct Events {
    splitter: Splitter,
    begun: bool,
    /// The number of content blocks so far.
    blocks: usize,
    /// The block that is open.
    open: Option<Block>,
    calls: Calls,
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
}

impl Events {
    /// Returns a translator of events of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            splitter: Splitter::new(most),
            begun: false,
            blocks: 0,
            open: None,
            calls: Calls::default(),
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
            return self.stop();
        }
        let Some(chunk) = read(data.as_bytes()) else {
            return self.fail("the upstream sent an event that cannot be read");
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return self.broken(error_message(error).unwrap_or("the upstream failed"));
        }
        let mut written = self.begin(&chunk);
        if let Some(counted) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(usage(counted));
        }
        for choice in list(&chunk, "choices").iter().filter(|choice| choice_index(choice) == 0) {
            written.push_str(&self.delta(choice.get("delta").unwrap_or(&Value::Null)));
            if let Some(reason) =
                choice.get("finish_reason").and_then(Value::as_str).filter(|reason| !reason.is_empty())
            {
                self.finish_reason = Some(reason.to_owned());
            }
        }
        written
    }

    fn begin(&mut self, chunk: &Value) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return String::new();
        }
        // OpenAI reports usage at the end; the last event corrects these zeros.
        let message = json!({
            "id": chunk.get("id"), "type": "message", "role": "assistant", "model": chunk.get("model"), "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
        });
        write(&json!({"type": "message_start", "message": message}))
    }

    fn delta(&mut self, delta: &Value) -> String {
        let mut written = String::new();
        for text in [text_of(delta.get("content").unwrap_or(&Value::Null)), text(delta, "refusal").into()] {
            if !text.is_empty() {
                written.push_str(&self.write_text(&text));
            }
        }
        for call in list(delta, "tool_calls") {
            self.calls.read(call);
        }
        written.push_str(&self.write_calls(false));
        // Thinking blocks need a signature, so reasoning is dropped. A ping keeps the connection alive meanwhile.
        let thinks = ["reasoning_content", "reasoning"].iter().any(|name| delta.get(*name).is_some_and(is_present));
        if written.is_empty() && (thinks || delta.get("content").is_some_and(Value::is_array)) {
            written = write(&json!({"type": "ping"}));
        }
        written
    }

    fn write_text(&mut self, text: &str) -> String {
        if !self.held.is_empty() || self.calls.is_half() {
            self.held.push_str(text);
            return String::new();
        }
        let mut written = String::new();
        if self.open != Some(Block::Text) {
            written = self.write_calls(true);
            written.push_str(&self.open(Block::Text, &json!({"type": "text", "text": ""})));
        }
        let delta = json!({"type": "text_delta", "text": text});
        written + &self.write_delta(&delta)
    }

    /// Writes the fragments of tool calls that can be written; with `all`, every remaining one.
    fn write_calls(&mut self, all: bool) -> String {
        let mut written = String::new();
        while let Some(call) = self.calls.next(all) {
            if let Some(begin) = &call.begin {
                written.push_str(&self.open(Block::Call, begin));
            }
            if !call.arguments.is_empty() {
                written
                    .push_str(&self.write_delta(&json!({"type": "input_json_delta", "partial_json": call.arguments})));
            }
        }
        written
    }

    /// Writes a delta of the open block, which is always the last one.
    fn write_delta(&self, delta: &Value) -> String {
        write(&json!({"type": "content_block_delta", "index": self.blocks.saturating_sub(1), "delta": delta}))
    }

    fn open(&mut self, kind: Block, block: &Value) -> String {
        let written = self.close();
        let idx = self.blocks;
        self.blocks += 1;
        self.open = Some(kind);
        written + &write(&json!({"type": "content_block_start", "index": idx, "content_block": block}))
    }

    fn close(&mut self) -> String {
        match self.open.take() {
            Some(_) => write(&json!({"type": "content_block_stop", "index": self.blocks.saturating_sub(1)})),
            None => String::new(),
        }
    }

    fn stop(&mut self) -> String {
        if !self.begun || std::mem::replace(&mut self.ended, true) {
            return String::new();
        }
        let mut written = self.write_calls(true);
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            written.push_str(&self.write_text(&held));
        }
        written.push_str(&self.close());
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
