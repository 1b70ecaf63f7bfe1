//! An answer, its responses and streams of both kinds of upstream, and what a client reads in its own format.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::api::{Wire, sse, translate::Format};

/// What an LLM answers.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    texts: Vec<String>,
    /// The arguments of each call.
    calls: Vec<String>,
    is_cut: bool,
}

/// What a client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    text: String,
    /// Id, name and arguments of each call.
    calls: Vec<(String, String, Value)>,
    is_cut: bool,
    tokens: u64,
}

const INPUT: u64 = 7;
const OUTPUT: u64 = 5;

/// Any answer; one that has calls is not cut.
pub(super) fn some() -> impl Strategy<Value = Answer> {
    let arguments = prop_oneof![Just("{}".to_owned()), "[a-zé\"]{1,9}".prop_map(|word| json!({"w": word}).to_string())];
    let answer = (vec("[a-zé \"\\\\]{1,9}", 1..4), vec(arguments, 0..4), any::<bool>());
    answer.prop_map(|(texts, calls, is_cut)| Answer { is_cut: is_cut && calls.is_empty(), texts, calls })
}

impl Answer {
    pub(super) fn meaning(&self) -> Heard {
        let call = |(idx, arguments): (usize, &String)| {
            (format!("call_{idx}"), "f".to_owned(), serde_json::from_str(arguments).unwrap())
        };
        let calls = self.calls.iter().enumerate().map(call).collect();
        Heard { text: self.texts.concat(), calls, is_cut: self.is_cut, tokens: INPUT + OUTPUT }
    }

    pub(super) fn whole(&self, from: Format) -> String {
        match from {
            Format::Openai => {
                let mut message = json!({"role": "assistant", "content": self.texts.concat()});
                if !self.calls.is_empty() {
                    message["tool_calls"] = self.calls.iter().enumerate().map(call).collect();
                }
                let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
                json!({"id": "c", "model": "m", "choices": [choice], "usage": usage()}).to_string()
            }
            Format::Anthropic => {
                let mut content = vec![json!({"type": "text", "text": self.texts.concat()})];
                let block = |(idx, arguments): (usize, &String)| {
                    let input: Value = serde_json::from_str(arguments).unwrap();
                    json!({"type": "tool_use", "id": format!("call_{idx}"), "name": "f", "input": input})
                };
                content.extend(self.calls.iter().enumerate().map(block));
                json!({"id": "c", "model": "m", "content": content, "stop_reason": self.stop_reason(),
                       "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT}})
                .to_string()
            }
        }
    }

    pub(super) fn stream(&self, from: Format) -> String {
        let events = match from {
            Format::Openai => self.chunks(),
            Format::Anthropic => self.events(),
        };
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        if from == Format::Openai { text + "data: [DONE]\n\n" } else { text }
    }

    fn chunks(&self) -> Vec<Value> {
        let chunk = |delta: Value, reason: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let mut chunks: Vec<Value> =
            self.texts.iter().map(|text| chunk(json!({"content": text}), Value::Null)).collect();
        for (idx, arguments) in self.calls.iter().enumerate() {
            let mut begun = call((idx, &String::new()));
            begun["index"] = json!(idx);
            chunks.push(chunk(json!({"tool_calls": [begun]}), Value::Null));
            let (first, second) = arguments.split_at(1);
            for piece in [first, second] {
                let piece = json!({"index": idx, "function": {"arguments": piece}});
                chunks.push(chunk(json!({"tool_calls": [piece]}), Value::Null));
            }
        }
        chunks.push(chunk(json!({}), json!(self.finish_reason())));
        chunks.push(json!({"id": "c", "model": "m", "choices": [], "usage": usage()}));
        chunks
    }

    fn events(&self) -> Vec<Value> {
        let usage = json!({"input_tokens": INPUT, "output_tokens": 1});
        let delta = |index: usize, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let start =
            |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let mut events = vec![json!({"type": "message_start", "message": {"id": "c", "model": "m", "usage": usage}})];
        events.push(start(0, json!({"type": "text", "text": ""})));
        events.extend(self.texts.iter().map(|text| delta(0, json!({"type": "text_delta", "text": text}))));
        events.push(json!({"type": "content_block_stop", "index": 0}));
        for (idx, arguments) in self.calls.iter().enumerate() {
            let block = json!({"type": "tool_use", "id": format!("call_{idx}"), "name": "f", "input": {}});
            events.push(start(idx + 1, block));
            let (first, second) = arguments.split_at(1);
            for piece in [first, second] {
                events.push(delta(idx + 1, json!({"type": "input_json_delta", "partial_json": piece})));
            }
            events.push(json!({"type": "content_block_stop", "index": idx + 1}));
        }
        let end = json!({"stop_reason": self.stop_reason()});
        events.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": OUTPUT}}));
        events.push(json!({"type": "message_stop"}));
        events
    }

    fn finish_reason(&self) -> &'static str {
        match (self.is_cut, self.calls.is_empty()) {
            (true, _) => "length",
            (false, true) => "stop",
            (false, false) => "tool_calls",
        }
    }

    fn stop_reason(&self) -> &'static str {
        match (self.is_cut, self.calls.is_empty()) {
            (true, _) => "max_tokens",
            (false, true) => "end_turn",
            (false, false) => "tool_use",
        }
    }
}

fn call((idx, arguments): (usize, &String)) -> Value {
    json!({"id": format!("call_{idx}"), "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn usage() -> Value {
    json!({"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT})
}

/// Returns what a client of format `wire` reads in a whole response.
pub(super) fn heard(wire: Wire, body: &str) -> Heard {
    let body: Value = serde_json::from_str(body).unwrap();
    match wire {
        Wire::Messages => message(&body["content"], &body["stop_reason"], &body["usage"]),
        Wire::Responses => response(&body),
        Wire::Chat | Wire::Completions | Wire::Embeddings => {
            let choice = &body["choices"][0];
            chat(&choice["message"], &choice["finish_reason"], &body["usage"])
        }
    }
}

/// Returns what a client of format `wire` reads in a stream.
pub(super) fn heard_stream(wire: Wire, text: &str) -> Heard {
    let events: Vec<Value> =
        sse::data(text.as_bytes()).iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    match wire {
        Wire::Messages => message_stream(&events),
        Wire::Responses => {
            let last = events.last().unwrap();
            assert!(["response.completed", "response.incomplete"].iter().any(|kind| last["type"] == *kind), "{last}");
            response(&last["response"])
        }
        Wire::Chat | Wire::Completions | Wire::Embeddings => chat_stream(&events),
    }
}

fn chat(message: &Value, reason: &Value, usage: &Value) -> Heard {
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().unwrap();
        (string(&call["id"]), string(&call["function"]["name"]), serde_json::from_str(arguments).unwrap())
    };
    Heard {
        text: string(&message["content"]),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        is_cut: *reason == "length",
        tokens: usage["total_tokens"].as_u64().unwrap(),
    }
}

fn chat_stream(chunks: &[Value]) -> Heard {
    let (mut text, mut calls, mut reason, mut usage) = (String::new(), Vec::new(), Value::Null, Value::Null);
    for chunk in chunks {
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        if choice["finish_reason"].is_string() {
            reason = choice["finish_reason"].clone();
        }
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if piece["id"].is_string() {
                calls.push(piece.clone());
                continue;
            }
            let known: &mut Value = &mut calls[usize::try_from(piece["index"].as_u64().unwrap()).unwrap()];
            let arguments = string(&known["function"]["arguments"]) + piece["function"]["arguments"].as_str().unwrap();
            known["function"]["arguments"] = json!(arguments);
        }
    }
    chat(&json!({"content": text, "tool_calls": calls}), &reason, &usage)
}

fn message(content: &Value, reason: &Value, usage: &Value) -> Heard {
    let blocks = content.as_array().unwrap();
    let call = |block: &Value| (string(&block["id"]), string(&block["name"]), block["input"].clone());
    let count = |name: &str| usage[name].as_u64().unwrap();
    Heard {
        text: blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        calls: blocks.iter().filter(|block| block["type"] == "tool_use").map(call).collect(),
        is_cut: *reason == "max_tokens",
        tokens: count("input_tokens") + count("output_tokens"),
    }
}

fn message_stream(events: &[Value]) -> Heard {
    let mut blocks: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    let (mut reason, mut usage) = (Value::Null, json!({}));
    for event in events {
        for counts in [&event["message"]["usage"], &event["usage"]] {
            usage.as_object_mut().unwrap().extend(counts.as_object().cloned().unwrap_or_default());
        }
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                blocks.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let at = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                inputs[at].push_str(event["delta"]["partial_json"].as_str().unwrap_or_default());
                if let Some(text) = event["delta"]["text"].as_str() {
                    blocks[at]["text"] = json!(string(&blocks[at]["text"]) + text);
                }
            }
            "message_delta" => reason = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    for (block, input) in blocks.iter_mut().zip(&inputs).filter(|(_, input)| !input.is_empty()) {
        block["input"] = serde_json::from_str(input).unwrap();
    }
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    message(&Value::from(blocks), &reason, &usage)
}

fn response(response: &Value) -> Heard {
    let items = response["output"].as_array().unwrap();
    let call = |item: &Value| {
        let arguments = item["arguments"].as_str().unwrap();
        (string(&item["call_id"]), string(&item["name"]), serde_json::from_str(arguments).unwrap())
    };
    let parts = items.iter().filter(|item| item["type"] == "message").flat_map(|item| item["content"].as_array());
    Heard {
        text: parts.flatten().filter_map(|part| part["text"].as_str()).collect(),
        calls: items.iter().filter(|item| item["type"] == "function_call").map(call).collect(),
        is_cut: response["status"] == "incomplete",
        tokens: response["usage"]["total_tokens"].as_u64().unwrap(),
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
