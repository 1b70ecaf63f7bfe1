//! A conversation, its requests in each client format, and what an upstream reads in its request.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::api::{Wire, translate::Format};

/// A conversation that ends with the user or with the results of tools.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
    /// The user's last words; empty if the last turn has calls.
    last: String,
}

/// A question and its answer.
#[derive(Debug, Clone)]
struct Turn {
    question: String,
    has_image: bool,
    answer: String,
    /// The arguments and the result of each call.
    calls: Vec<(String, String)>,
}

/// One thing that somebody says, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    System(String),
    User(String),
    Image(String),
    Assistant(String),
    Call { id: String, arguments: String },
    Result { id: String, text: String },
}

const IMAGE: &str = "data:image/png;base64,AAAA";

/// Any conversation.
pub(super) fn some() -> impl Strategy<Value = Conversation> {
    let text = "[a-zA-Z0-9é\"\\\\ ]{0,12}[a-z]";
    let arguments = prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"n":12,"x":1.5}"#.to_owned()),
        "[a-z]{1,5}".prop_map(|word| json!({"word": word}).to_string()),
    ];
    let turn = (text, any::<bool>(), text, vec((arguments, text), 0..3));
    let turn = turn.prop_map(|(question, has_image, answer, calls)| Turn { question, has_image, answer, calls });
    (proptest::option::of(text), vec(turn, 0..3), text).prop_map(|(system, turns, last)| Conversation {
        system,
        turns,
        last,
    })
}

impl Conversation {
    /// Returns a conversation of one question.
    pub(super) fn opening() -> Self {
        Self { system: None, turns: Vec::new(), last: "hi".to_owned() }
    }

    /// Returns what is said.
    pub(super) fn meaning(&self) -> Vec<Said> {
        let mut said: Vec<Said> = self.system.iter().cloned().map(Said::System).collect();
        for (number, turn) in self.turns.iter().enumerate() {
            said.push(Said::User(turn.question.clone()));
            said.extend(turn.has_image.then(|| Said::Image(IMAGE.to_owned())));
            said.push(Said::Assistant(turn.answer.clone()));
            let calls = turn.calls.iter().enumerate();
            said.extend(
                calls.clone().map(|(idx, (call, _))| Said::Call { id: id(number, idx), arguments: call.clone() }),
            );
            said.extend(calls.map(|(idx, (_, text))| Said::Result { id: id(number, idx), text: text.clone() }));
        }
        said.push(Said::User(self.last.clone()));
        said
    }

    /// Returns the request of a client of format `wire`.
    pub(super) fn request(&self, wire: Wire) -> Value {
        match wire {
            Wire::Messages => self.messages(),
            Wire::Responses => self.responses(),
            Wire::Chat | Wire::Completions | Wire::Embeddings => self.chat(),
        }
    }

    fn chat(&self) -> Value {
        let mut messages: Vec<Value> =
            self.system.iter().map(|system| json!({"role": "system", "content": system})).collect();
        for (number, turn) in self.turns.iter().enumerate() {
            let mut parts = vec![json!({"type": "text", "text": turn.question})];
            if turn.has_image {
                parts.push(json!({"type": "image_url", "image_url": {"url": IMAGE}}));
            }
            messages.push(json!({"role": "user", "content": parts}));
            let call = |(idx, (arguments, _)): (usize, &(String, String))| {
                let function = json!({"name": "f", "arguments": arguments});
                json!({"id": id(number, idx), "type": "function", "function": function})
            };
            let mut message = json!({"role": "assistant", "content": turn.answer});
            if !turn.calls.is_empty() {
                message["tool_calls"] = turn.calls.iter().enumerate().map(call).collect();
            }
            messages.push(message);
            let result = |(idx, (_, text)): (usize, &(String, String))| json!({"role": "tool", "tool_call_id": id(number, idx), "content": text});
            messages.extend(turn.calls.iter().enumerate().map(result));
        }
        messages.push(json!({"role": "user", "content": self.last}));
        json!({"model": "auto", "stream": true, "messages": messages})
    }

    fn messages(&self) -> Value {
        let mut messages = Vec::new();
        let mut results: Vec<Value> = Vec::new();
        for (number, turn) in self.turns.iter().enumerate() {
            let mut content = std::mem::take(&mut results);
            content.push(json!({"type": "text", "text": turn.question}));
            if turn.has_image {
                let source = json!({"type": "base64", "media_type": "image/png", "data": "AAAA"});
                content.push(json!({"type": "image", "source": source}));
            }
            messages.push(json!({"role": "user", "content": content}));
            let mut content = vec![json!({"type": "text", "text": turn.answer})];
            for (idx, (arguments, text)) in turn.calls.iter().enumerate() {
                let input: Value = serde_json::from_str(arguments).unwrap();
                content.push(json!({"type": "tool_use", "id": id(number, idx), "name": "f", "input": input}));
                results.push(json!({"type": "tool_result", "tool_use_id": id(number, idx), "content": text}));
            }
            messages.push(json!({"role": "assistant", "content": content}));
        }
        results.push(json!({"type": "text", "text": self.last}));
        messages.push(json!({"role": "user", "content": results}));
        let mut request = json!({"model": "auto", "max_tokens": 9, "stream": true, "messages": messages});
        if let Some(system) = &self.system {
            request["system"] = json!(system);
        }
        request
    }

    fn responses(&self) -> Value {
        let mut input = Vec::new();
        for (number, turn) in self.turns.iter().enumerate() {
            let mut parts = vec![json!({"type": "input_text", "text": turn.question})];
            if turn.has_image {
                parts.push(json!({"type": "input_image", "image_url": IMAGE}));
            }
            input.push(json!({"role": "user", "content": parts}));
            let said = json!({"type": "output_text", "text": turn.answer});
            input.push(json!({"type": "message", "role": "assistant", "content": [said]}));
            for (idx, (arguments, _)) in turn.calls.iter().enumerate() {
                let id = id(number, idx);
                input.push(json!({"type": "function_call", "call_id": id, "name": "f", "arguments": arguments}));
            }
            for (idx, (_, text)) in turn.calls.iter().enumerate() {
                input.push(json!({"type": "function_call_output", "call_id": id(number, idx), "output": text}));
            }
        }
        input.push(json!({"role": "user", "content": self.last}));
        let mut request = json!({"model": "auto", "stream": true, "input": input});
        if let Some(system) = &self.system {
            request["instructions"] = json!(system);
        }
        request
    }
}

fn id(turn: usize, call: usize) -> String {
    format!("call_{turn}_{call}")
}

/// Returns what an upstream of format `to` reads in its `request`.
pub(super) fn read(to: Format, request: &Value) -> Vec<Said> {
    let mut said = Vec::new();
    let messages = request["messages"].as_array().unwrap();
    if let Some(system) = request.get("system") {
        said.push(Said::System(text(system)));
    }
    for message in messages {
        match to {
            Format::Openai => read_message(message, &mut said),
            Format::Anthropic => read_turn(message, &mut said),
        }
    }
    said
}

fn read_message(message: &Value, said: &mut Vec<Said>) {
    let content = &message["content"];
    match message["role"].as_str().unwrap() {
        "system" => said.push(Said::System(text(content))),
        "tool" => {
            let id = message["tool_call_id"].as_str().unwrap().to_owned();
            said.push(Said::Result { id, text: text(content) });
        }
        "assistant" => {
            said.push(Said::Assistant(text(content)));
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let arguments = call["function"]["arguments"].as_str().unwrap().to_owned();
                said.push(Said::Call { id: call["id"].as_str().unwrap().to_owned(), arguments });
            }
        }
        _ => {
            said.push(Said::User(text(content)));
            let images = content.as_array().into_iter().flatten().filter(|part| part["type"] == "image_url");
            said.extend(images.map(|part| Said::Image(part["image_url"]["url"].as_str().unwrap().to_owned())));
        }
    }
}

fn read_turn(turn: &Value, said: &mut Vec<Said>) {
    let is_user = turn["role"] == "user";
    let content = &turn["content"];
    let blocks = match content.as_str() {
        Some(text) => vec![json!({"type": "text", "text": text})],
        None => content.as_array().unwrap().clone(),
    };
    for block in blocks {
        said.push(match block["type"].as_str().unwrap() {
            "text" if is_user => Said::User(text(&block["text"])),
            "text" => Said::Assistant(text(&block["text"])),
            "tool_use" => {
                Said::Call { id: block["id"].as_str().unwrap().to_owned(), arguments: block["input"].to_string() }
            }
            "tool_result" => {
                Said::Result { id: block["tool_use_id"].as_str().unwrap().to_owned(), text: text(&block["content"]) }
            }
            _ => {
                let source = &block["source"];
                let (kind, data) = (source["media_type"].as_str().unwrap(), source["data"].as_str().unwrap());
                Said::Image(format!("data:{kind};base64,{data}"))
            }
        });
    }
}

/// Returns the text of a string or of a list of parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}
