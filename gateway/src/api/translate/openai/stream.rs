//! Translates a stream of message events to a stream of chat completion chunks, event by event.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::json::{error_event, error_message, read},
    finish_reason, usage,
};
use crate::api::{
    Wire,
    sse::{self, Splitter},
};

/// A comment that keeps the connection alive.
const ALIVE: &str = ": alive\n\n";

/// Translates one stream.
#[derive(Debug)]
pub struct Chunks {
    splitter: Splitter,
    created: u64,
    with_usage: bool,
    id: Value,
    model: Value,
    usage: Value,
    /// The number of tool calls so far; OpenAI numbers them separately from text.
    calls: usize,
    stopped: bool,
    failure: Option<&'static str>,
}

impl Chunks {
    /// Returns a translator of events of at most `most` bytes; `with_usage` sends usage in a separate chunk.
    pub fn new(most: usize, created: u64, with_usage: bool) -> Self {
        let usage = json!({});
        Self {
            splitter: Splitter::new(most),
            created,
            with_usage,
            id: Value::Null,
            model: Value::Null,
            usage,
            calls: 0,
            stopped: false,
            failure: None,
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

    /// Returns the translated text for the end of the stream.
    pub fn finish(&mut self) -> String {
        let rest = self.splitter.finish_event();
        self.read(&rest)
    }

    fn read(&mut self, whole: &[u8]) -> String {
        let events = sse::data(whole);
        events
            .iter()
            .filter(|data| !data.trim().is_empty())
            .map(|data| match read(data.as_bytes()) {
                Some(event) => self.event(&event),
                None => self.fail("the upstream sent an event that cannot be read"),
            })
            .collect()
    }

    fn event(&mut self, event: &Value) -> String {
        if self.stopped {
            return String::new();
        }
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => {
                let message = event.get("message").unwrap_or(&Value::Null);
                self.id = message.get("id").cloned().unwrap_or_default();
                self.model = message.get("model").cloned().unwrap_or_default();
                self.count(message.get("usage"));
                self.chunk(&json!({"role": "assistant", "content": ""}), None)
            }
            "content_block_start" => self.block(event.get("content_block").unwrap_or(&Value::Null)),
            "content_block_delta" => self.delta(event.get("delta").unwrap_or(&Value::Null)),
            "message_delta" => {
                self.count(event.get("usage"));
                match event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    Some(stop) => self.chunk(&json!({}), Some(finish_reason(stop))),
                    None => String::new(),
                }
            }
            "message_stop" => self.stop(),
            "error" => self.broken(event.get("error").and_then(error_message).unwrap_or("the upstream failed")),
            "ping" => ALIVE.to_owned(),
            _ => String::new(),
        }
    }

    fn block(&mut self, block: &Value) -> String {
        if block.get("type").and_then(Value::as_str) != Some("tool_use") {
            return String::new();
        }
        let function = json!({"name": block.get("name"), "arguments": ""});
        let call = json!({"index": self.calls, "id": block.get("id"), "type": "function", "function": function});
        self.calls += 1;
        self.chunk(&json!({"tool_calls": [call]}), None)
    }

    fn delta(&self, delta: &Value) -> String {
        let text = |name: &str| delta.get(name).and_then(Value::as_str);
        match (text("text"), text("partial_json")) {
            (Some(text), _) => self.chunk(&json!({"content": text}), None),
            (None, Some(json)) => {
                let call = json!({"index": self.calls.saturating_sub(1), "function": {"arguments": json}});
                self.chunk(&json!({"tool_calls": [call]}), None)
            }
            // Chunks cannot carry thinking; a comment keeps the connection alive meanwhile.
            (None, None) => ALIVE.to_owned(),
        }
    }

    /// Updates the usage; later counts replace earlier ones.
    fn count(&mut self, written: Option<&Value>) {
        if let (Some(known), Some(Value::Object(written))) = (self.usage.as_object_mut(), written) {
            known.extend(written.clone().into_iter().filter(|(_, count)| !count.is_null()));
        }
    }

    fn stop(&mut self) -> String {
        self.stopped = true;
        let counted = if self.with_usage { self.write(&json!([]), &usage(&self.usage)) } else { String::new() };
        format!("{counted}data: [DONE]\n\n")
    }

    /// Ends a stream whose rest cannot be translated.
    fn fail(&mut self, reason: &'static str) -> String {
        if !std::mem::replace(&mut self.stopped, true) {
            self.failure = Some(reason);
        }
        String::new()
    }

    /// Returns, once, why the rest of the stream cannot be translated.
    pub fn failure(&mut self) -> Option<&'static str> {
        self.failure.take()
    }

    fn broken(&mut self, message: &str) -> String {
        if std::mem::replace(&mut self.stopped, true) {
            return String::new();
        }
        error_event(Wire::Chat, message)
    }

    fn chunk(&self, delta: &Value, reason: Option<&str>) -> String {
        // Clients ignore usage beside the finish reason; the gateway reads it there.
        let counted = if reason.is_some() && !self.with_usage { usage(&self.usage) } else { Value::Null };
        self.write(&json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]), &counted)
    }

    fn write(&self, choices: &Value, usage: &Value) -> String {
        let chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","model":"claude","usage":{"input_tokens":7,"output_tokens":1}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé"}}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"c1","name":"look","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"at\":1}"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

"#;

    fn chunks(with_usage: bool, size: usize) -> Vec<String> {
        let mut chunks = Chunks::new(1_000, 5, with_usage);
        let text: String =
            EVENTS.as_bytes().chunks(size).map(|piece| chunks.push(Bytes::copy_from_slice(piece))).collect();
        sse::data(text.as_bytes())
    }

    #[test]
    fn text_tool_calls_reason_and_usage_become_chunks() {
        let said = chunks(false, 10_000);
        let read: Vec<Value> = said.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
        let deltas: Vec<&Value> = read.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        let begun = json!({"name": "look", "arguments": ""});
        let expected = [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "Hé"}),
            json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": begun}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"at\":1}"}}]}),
            json!({}),
        ];
        assert_eq!(deltas, expected.iter().collect::<Vec<_>>());
        assert_eq!(read[4]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(
            (&read[4]["usage"]["prompt_tokens"], &read[4]["usage"]["completion_tokens"]),
            (&json!(7), &json!(9))
        );
        assert_eq!(said.last().map(String::as_str), Some("[DONE]"));
    }

    #[test]
    fn the_translation_does_not_depend_on_chunk_boundaries() {
        for size in [1, 7, 50] {
            assert_eq!(chunks(true, size), chunks(true, 10_000));
        }
    }

    #[test]
    fn a_truncated_stream_has_no_done() {
        let mut chunks = Chunks::new(1_000, 5, false);
        let half = EVENTS.split("event: message_stop").next().unwrap();
        assert!(!chunks.push(Bytes::from(half)).contains("[DONE]"));
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"gone\"}}\n\n";
        assert!(chunks.push(Bytes::from(error)).contains("\"message\":\"gone\""));
    }
}
