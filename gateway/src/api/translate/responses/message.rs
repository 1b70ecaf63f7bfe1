//! Reads messages, event by event or whole, into the output of a response.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        json::{stream_error, text},
        tool_name::ToolNames,
    },
    expected::{Expected, usage},
    output::Output,
    reasoning,
};

/// Reads one message.
#[derive(Debug)]
pub(super) struct MessageReader {
    pub(super) output: Output,
    /// The tool names that were mapped in the request.
    names: Arc<ToolNames>,
    /// The thinking block that is open, with its text and signature so far.
    thinking: Option<Value>,
    usage: Value,
    stop_reason: String,
    /// The index of the open block, and whether it is a call.
    open: Option<(u64, bool)>,
    /// Events of other blocks that arrived during a call, as items must not interleave.
    held: Vec<Value>,
    pub(super) has_ended: bool,
}

impl MessageReader {
    pub(super) fn new(expected: Arc<Expected>, names: Arc<ToolNames>, model: &str) -> Self {
        let model = if model.is_empty() { expected.model().to_owned() } else { model.to_owned() };
        let output = Output::new(expected, model);
        Self {
            output,
            names,
            thinking: None,
            usage: json!({}),
            stop_reason: String::new(),
            open: None,
            held: Vec::new(),
            has_ended: false,
        }
    }

    /// Reads the next event.
    pub(super) fn event(&mut self, event: &Value) {
        if self.has_ended {
            return;
        }
        if let Some(message) = stream_error(event) {
            self.has_ended = true;
            self.output.fail(message);
            return;
        }
        match text(event, "type") {
            "message_start" => {
                let message = event.get("message").unwrap_or(&Value::Null);
                self.count(message.get("usage"));
                self.output.begin(text(message, "model"));
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" => {
                self.output.begin("");
                self.block_event(event);
            }
            "message_delta" => {
                self.count(event.get("usage"));
                if let Some(reason) = event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    reason.clone_into(&mut self.stop_reason);
                }
            }
            "message_stop" => {
                self.output.begin("");
                self.close_all();
                self.finish();
            }
            "ping" => self.output.alive(),
            _ => {}
        }
    }

    fn block_event(&mut self, event: &Value) {
        let idx = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        let kind = text(event, "type");
        match self.open {
            Some((open, is_call)) if open != idx && (is_call || kind != "content_block_start") => {
                self.held.push(event.clone());
                return;
            }
            // Some upstreams leave out the end of a block.
            Some((open, _)) if open != idx => self.stop_block(),
            Some(_) | None => {}
        }
        match kind {
            "content_block_start" => {
                let block = event.get("content_block").unwrap_or(&Value::Null);
                let input = block.get("input").filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
                self.open = Some((idx, text(block, "type") == "tool_use"));
                self.start_block(block, &input.map(Value::to_string).unwrap_or_default());
            }
            "content_block_delta" => self.delta(event.get("delta").unwrap_or(&Value::Null)),
            _ => {
                self.stop_block();
                self.open = None;
                self.replay();
            }
        }
    }

    /// Reads the events that were held.
    fn replay(&mut self) {
        for event in std::mem::take(&mut self.held) {
            self.block_event(&event);
        }
    }

    /// Ends all blocks, in the order in which they began.
    fn close_all(&mut self) {
        while self.open.is_some() || !self.held.is_empty() {
            self.stop_block();
            self.open = None;
            self.replay();
        }
    }

    /// Reads a whole message; `input` returns the input of a block as it is written. Returns the response.
    pub(super) fn whole<'m>(
        mut self,
        message: &Value,
        blocks: &[Value],
        input: impl Fn(usize) -> Option<&'m str>,
    ) -> Value {
        self.output.begin(text(message, "model"));
        for (idx, block) in blocks.iter().enumerate() {
            self.start_block(block, input(idx).unwrap_or_default());
            self.stop_block();
        }
        self.count(message.get("usage"));
        text(message, "stop_reason").clone_into(&mut self.stop_reason);
        self.finish()
    }

    /// Starts a block, with the content that it may already have; `input` is the input of a tool call as it is written.
    fn start_block(&mut self, block: &Value, input: &str) {
        match text(block, "type") {
            "text" if !text(block, "text").is_empty() => self.output.text(text(block, "text")),
            "tool_use" => {
                let id = self.output.call_id(text(block, "id"));
                self.output.call(&id, self.names.original(text(block, "name")));
                self.output.arguments(input);
            }
            "thinking" | "redacted_thinking" => {
                self.output.reasoning();
                self.output.thought(text(block, "thinking"));
                self.thinking = Some(block.clone());
            }
            _ => {}
        }
    }

    fn delta(&mut self, delta: &Value) {
        match text(delta, "type") {
            "text_delta" => self.output.text(text(delta, "text")),
            "input_json_delta" => self.output.arguments(text(delta, "partial_json")),
            "thinking_delta" => {
                self.append("thinking", text(delta, "thinking"));
                if !self.output.thought(text(delta, "thinking")) {
                    self.output.alive();
                }
            }
            "signature_delta" => self.append("signature", text(delta, "signature")),
            _ => self.output.alive(),
        }
    }

    /// Appends `written` to the field `name` of the open thinking block.
    fn append(&mut self, name: &str, written: &str) {
        if let Some(Value::Object(block)) = &mut self.thinking {
            let known = block.get(name).and_then(Value::as_str).unwrap_or_default();
            let longer = format!("{known}{written}");
            block.insert(name.to_owned(), Value::from(longer));
        }
    }

    /// Ends a block. Text stays open, as more may follow in the next block.
    fn stop_block(&mut self) {
        if let Some(block) = self.thinking.take() {
            self.output.seal(&reasoning::encrypted(&block));
        } else if self.output.is_calling() {
            if !self.output.has_arguments() {
                self.output.arguments("{}");
            }
            self.output.close("completed");
        }
    }

    fn finish(&mut self) -> Value {
        self.has_ended = true;
        let usage = usage(&self.usage);
        self.output.finish(&self.stop_reason, &usage)
    }

    /// Updates the usage; later counts replace earlier ones.
    fn count(&mut self, written: Option<&Value>) {
        if let (Some(known), Some(Value::Object(written))) = (self.usage.as_object_mut(), written) {
            known.extend(written.clone().into_iter().filter(|(_, count)| !count.is_null()));
        }
    }
}
