//! A stream of chat completion chunks as a stream of message events, chunk by chunk.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::{list, text},
    stop_reason, usage,
};
use crate::api::{
    ErrorBody, Wire,
    sse::{self, Splitter},
};

/// Translates one stream.
#[derive(Debug, Default)]
pub struct Events {
    splitter: Splitter,
    begun: bool,
    /// Content blocks so far.
    blocks: usize,
    /// The block that is being written.
    open: Option<Block>,
    /// The block of each tool call, by OpenAI's number of the call.
    calls: Vec<(u64, usize)>,
    usage: Option<Value>,
    stop_reason: Option<&'static str>,
    ended: bool,
}

/// A content block that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Call,
}

impl Events {
    /// Takes a piece of the upstream's stream and returns what follows from it, possibly nothing.
    pub fn push(&mut self, piece: Bytes) -> String {
        match self.splitter.push(piece) {
            Some(whole) => self.read(&whole),
            None => String::new(),
        }
    }

    /// Returns what follows from the end of the stream: some upstreams never send `[DONE]`. Without a reason to finish
    /// the answer is not whole, and nothing says that it is.
    pub fn finish(&mut self) -> String {
        let rest = self.splitter.finish_event();
        let written = self.read(&rest);
        if self.stop_reason.is_some() { written + &self.stop() } else { written }
    }

    fn read(&mut self, whole: &[u8]) -> String {
        sse::data(whole).iter().map(|data| self.event(data)).collect()
    }

    fn event(&mut self, data: &str) -> String {
        if self.ended {
            return String::new();
        }
        if data.trim() == "[DONE]" {
            return self.stop();
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            return String::new();
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return self.broken(error);
        }
        let mut written = self.begin(&chunk);
        if let Some(counted) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(usage(counted));
        }
        for choice in list(&chunk, "choices").iter().filter(|choice| choice_index(choice) == 0) {
            written.push_str(&self.delta(choice.get("delta").unwrap_or(&Value::Null)));
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.stop_reason = Some(stop_reason(reason));
            }
        }
        written
    }

    fn begin(&mut self, chunk: &Value) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return String::new();
        }
        // OpenAI counts at the end; the last event corrects this.
        let message = json!({
            "id": chunk.get("id"), "type": "message", "role": "assistant", "model": chunk.get("model"), "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
        });
        write(&json!({"type": "message_start", "message": message}))
    }

    fn delta(&mut self, delta: &Value) -> String {
        let mut written = String::new();
        for said in [text(delta, "content"), text(delta, "refusal")] {
            if !said.is_empty() {
                written.push_str(&self.said(said));
            }
        }
        for call in list(delta, "tool_calls") {
            written.push_str(&self.called(call));
        }
        written
    }

    fn said(&mut self, said: &str) -> String {
        let mut written = String::new();
        if self.open != Some(Block::Text) {
            written = self.open(Block::Text, &json!({"type": "text", "text": ""}));
        }
        let delta = json!({"type": "text_delta", "text": said});
        let idx = self.blocks.saturating_sub(1);
        written + &write(&json!({"type": "content_block_delta", "index": idx, "delta": delta}))
    }

    fn called(&mut self, call: &Value) -> String {
        let number = self.number(call);
        let known = self.calls.iter().find(|(known, _)| *known == number).map(|(_, block)| *block);
        let function = call.get("function").unwrap_or(&Value::Null);
        let mut written = String::new();
        let idx = known.unwrap_or_else(|| {
            let id = call.get("id").and_then(Value::as_str).map_or_else(|| format!("call_{number}"), str::to_owned);
            let block = json!({"type": "tool_use", "id": id, "name": text(function, "name"), "input": {}});
            written = self.open(Block::Call, &block);
            let idx = self.blocks.saturating_sub(1);
            self.calls.push((number, idx));
            idx
        });
        let arguments = text(function, "arguments");
        if !arguments.is_empty() {
            let delta = json!({"type": "input_json_delta", "partial_json": arguments});
            written.push_str(&write(&json!({"type": "content_block_delta", "index": idx, "delta": delta})));
        }
        written
    }

    /// Some upstreams do not number their calls: an id then begins a new one.
    fn number(&self, call: &Value) -> u64 {
        let last = self.calls.last().map(|(number, _)| *number);
        let begins = call.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        let next = last.map_or(0, |last| last.saturating_add(1));
        let unnumbered = if begins { next } else { last.unwrap_or(0) };
        call.get("index").and_then(Value::as_u64).unwrap_or(unnumbered)
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
        let reason = match self.stop_reason {
            // Some upstreams call their tools and then say they just stopped.
            Some("end_turn") | None if !self.calls.is_empty() => "tool_use",
            reason => reason.unwrap_or("end_turn"),
        };
        let usage = self.usage.take().unwrap_or_else(|| json!({"output_tokens": 0}));
        let delta = json!({"stop_reason": reason, "stop_sequence": null});
        let end = write(&json!({"type": "message_delta", "delta": delta, "usage": usage}));
        self.close() + &end + &write(&json!({"type": "message_stop"}))
    }

    fn broken(&mut self, error: &Value) -> String {
        self.ended = true;
        let message = error.as_str().or_else(|| error.get("message")?.as_str()).unwrap_or("the upstream failed");
        let body = ErrorBody {
            message: message.to_owned(),
            kind: "upstream_error",
            param: None,
            code: Some("upstream_stream_error"),
        };
        body.to_event(Wire::Messages)
    }
}

fn choice_index(choice: &Value) -> u64 {
    choice.get("index").and_then(Value::as_u64).unwrap_or(0)
}

fn write(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", text(event, "type"))
}
