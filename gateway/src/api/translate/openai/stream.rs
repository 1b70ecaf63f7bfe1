//! Translates a stream of message events to a stream of chat completion chunks, event by event.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::{
        json::{error_event, read, stream_error, text},
        tool_id,
        tool_name::ToolNames,
    },
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
    /// The tool calls by the index of their block; OpenAI numbers them separately from text.
    calls: HashMap<u64, Call>,
    names: Arc<ToolNames>,
    stopped: bool,
    failure: Option<&'static str>,
}

/// A tool call, as far as it has arrived.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: usize,
    /// Whether any of its arguments were sent.
    has_arguments: bool,
}

impl Chunks {
    /// Returns a translator of events of at most `most` bytes; `with_usage` sends usage in a separate chunk, `names` are the
    /// tool names that were mapped in the request.
    pub(in super::super) fn new(most: usize, created: u64, with_usage: bool, names: Arc<ToolNames>) -> Self {
        let usage = json!({});
        Self {
            splitter: Splitter::new(most),
            created,
            with_usage,
            id: Value::Null,
            model: Value::Null,
            usage,
            calls: HashMap::new(),
            names,
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
        if let Some(message) = stream_error(event) {
            return self.broken(message);
        }
        match text(event, "type") {
            "message_start" => {
                let message = event.get("message").unwrap_or(&Value::Null);
                self.id = message.get("id").cloned().unwrap_or_default();
                self.model = message.get("model").cloned().unwrap_or_default();
                self.count(message.get("usage"));
                self.chunk(&json!({"role": "assistant", "content": ""}), None)
            }
            "content_block_start" => self.start_block(event),
            "content_block_delta" => self.delta(event),
            "content_block_stop" => self.stop_block(event),
            "message_delta" => {
                self.count(event.get("usage"));
                match event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    Some(stop) => self.chunk(&json!({}), Some(finish_reason(stop))),
                    None => String::new(),
                }
            }
            "message_stop" => self.stop(),
            "ping" => ALIVE.to_owned(),
            _ => String::new(),
        }
    }

    /// Translates the start of a block, with the content that it may already have.
    fn start_block(&mut self, event: &Value) -> String {
        let block = event.get("content_block").unwrap_or(&Value::Null);
        match text(block, "type") {
            "text" if !text(block, "text").is_empty() => self.chunk(&json!({"content": text(block, "text")}), None),
            "tool_use" => {
                let input = block.get("input").filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
                let call = Call { number: self.calls.len(), has_arguments: input.is_some() };
                self.calls.insert(block_index(event), call);
                let arguments = input.map(Value::to_string).unwrap_or_default();
                let function = json!({"name": self.names.original(text(block, "name")), "arguments": arguments});
                let response = self.id.as_str().unwrap_or_default();
                let id = tool_id::openai_or_invented(text(block, "id"), response, call.number);
                let call = json!({"index": call.number, "id": id, "type": "function", "function": function});
                self.chunk(&json!({"tool_calls": [call]}), None)
            }
            _ => String::new(),
        }
    }

    fn delta(&mut self, event: &Value) -> String {
        let delta = event.get("delta").unwrap_or(&Value::Null);
        match text(delta, "type") {
            "text_delta" => self.chunk(&json!({"content": text(delta, "text")}), None),
            "input_json_delta" => self.arguments(block_index(event), text(delta, "partial_json")),
            // Chunks cannot carry thinking; a comment keeps the connection alive meanwhile.
            _ => ALIVE.to_owned(),
        }
    }

    /// Ends a block. A call without arguments has the empty object, as in a whole response.
    fn stop_block(&mut self, event: &Value) -> String {
        let idx = block_index(event);
        match self.calls.get(&idx) {
            Some(call) if !call.has_arguments => self.arguments(idx, "{}"),
            _ => String::new(),
        }
    }

    /// Writes a fragment of the arguments of the call in block `idx`.
    fn arguments(&mut self, idx: u64, fragment: &str) -> String {
        let Some(call) = self.calls.get_mut(&idx).filter(|_| !fragment.is_empty()) else {
            return ALIVE.to_owned();
        };
        call.has_arguments = true;
        let call = json!({"index": call.number, "function": {"arguments": fragment}});
        self.chunk(&json!({"tool_calls": [call]}), None)
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

fn block_index(event: &Value) -> u64 {
    event.get("index").and_then(Value::as_u64).unwrap_or(0)
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
        let mut chunks = Chunks::new(1_000, 5, with_usage, Arc::default());
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
        let mut chunks = Chunks::new(1_000, 5, false, Arc::default());
        let half = EVENTS.split("event: message_stop").next().unwrap();
        assert!(!chunks.push(Bytes::from(half)).contains("[DONE]"));
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"gone\"}}\n\n";
        assert!(chunks.push(Bytes::from(error)).contains("\"message\":\"gone\""));
    }
}
