//! The built-in simulated upstream: it calls no LLM and reports which LLM the router chose, and why.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{Body, SimulatedRequest, UpstreamRequest, body};
use crate::api::{Fields, Wire, facts};

/// Most choices of one response, as at OpenAI.
const MAX_CHOICES: u32 = 128;

/// Returns the response to `call`. If the request sets `stream`, the response is a stream with `chunk_delay` between chunks.
pub fn response(call: &UpstreamRequest<'_>, chunk_delay: Duration) -> Response<Body> {
    let request = std::str::from_utf8(&call.body).ok().and_then(|text| Fields::parse(text).ok()).unwrap_or_default();
    let reply = SimulatedResponse {
        text: text(call.simulated),
        model: call.simulated.name,
        input: facts::estimate_tokens(call.body.len()),
        choices: choices(&request),
        id: rand::random(),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    };
    let is_messages = call.wire == Wire::Messages;
    if !request.is_true("stream") {
        let answer = if is_messages { reply.message() } else { reply.completion() };
        return with_content_type("application/json", body::full(answer.to_string()));
    }
    let options = request.find("stream_options").and_then(|options| Fields::parse(options.get()).ok());
    let with_usage = options.is_some_and(|options| options.is_true("include_usage"));
    let events = if is_messages { reply.message_events() } else { reply.completion_events(with_usage) };
    with_content_type("text/event-stream", delayed_chunks(events, chunk_delay))
}

/// Returns the number of choices asked for.
fn choices(request: &Fields<'_>) -> u32 {
    let asked = request.find("n").and_then(|n| serde_json::from_str(n.get()).ok());
    asked.unwrap_or(1).clamp(1, MAX_CHOICES)
}

fn text(simulated: SimulatedRequest<'_>) -> String {
    let SimulatedRequest { spec, why, .. } = simulated;
    format!(
        "This is a simulated answer: no LLM was called. {} would have answered, at ${} per million input tokens and \
         ${} per million output tokens. Why: {why}.",
        spec.llm,
        spec.input_price,
        spec.output_price,
        why = why.trim_end_matches('.'),
    )
}

fn with_content_type(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn delayed_chunks(events: Vec<String>, chunk_delay: Duration) -> Body {
    let events = stream::unfold(events.into_iter(), move |mut events| async move {
        let event = events.next()?;
        if !chunk_delay.is_zero() {
            tokio::time::sleep(chunk_delay).await;
        }
        Some((Ok(Frame::data(Bytes::from(event))), events))
    });
    Body::new(StreamBody::new(events))
}

struct SimulatedResponse<'a> {
    text: String,
    model: &'a str,
    input: u32,
    choices: u32,
    id: u64,
    created: u64,
}

impl SimulatedResponse<'_> {
    fn output(&self) -> u32 {
        facts::estimate_tokens(self.text.len())
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split_inclusive(' ')
    }

    fn completion(&self) -> Value {
        let message = json!({"role": "assistant", "content": self.text, "refusal": null});
        let choice = |idx| json!({"index": idx, "message": message, "logprobs": null, "finish_reason": "stop"});
        let choices: Vec<Value> = (0..self.choices).map(choice).collect();
        json!({
            "id": format!("chatcmpl-sim{:016x}", self.id), "object": "chat.completion", "created": self.created,
            "model": self.model,
            "choices": choices, "usage": self.usage(),
        })
    }

    fn usage(&self) -> Value {
        let (input, output) = (self.input, self.output().saturating_mul(self.choices));
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
    }

    fn completion_events(&self, with_usage: bool) -> Vec<String> {
        let chunk = |choices: Value, usage: Value| {
            let chunk = json!({
                "id": format!("chatcmpl-sim{:016x}", self.id), "object": "chat.completion.chunk",
                "created": self.created, "model": self.model, "choices": choices, "usage": usage,
            });
            format!("data: {chunk}\n\n")
        };
        let mut events = Vec::new();
        for idx in 0..self.choices {
            let choice = |delta: Value| json!([{"index": idx, "delta": delta, "finish_reason": null}]);
            events.push(chunk(choice(json!({"role": "assistant", "content": ""})), Value::Null));
            events.extend(self.words().map(|word| chunk(choice(json!({"content": word})), Value::Null)));
        }
        // OpenAI sends usage only on demand, in a chunk of its own. Otherwise it goes beside the finish reason, where
        // clients ignore it.
        let usage = if with_usage { Value::Null } else { self.usage() };
        let last = |idx| json!({"index": idx, "delta": {}, "finish_reason": "stop"});
        events.push(chunk((0..self.choices).map(last).collect(), usage));
        if with_usage {
            events.push(chunk(json!([]), self.usage()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn message(&self) -> Value {
        json!({
            "id": format!("msg_sim{:016x}", self.id), "type": "message", "role": "assistant", "model": self.model,
            "content": [{"type": "text", "text": self.text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": self.input, "output_tokens": self.output()},
        })
    }

    fn message_events(&self) -> Vec<String> {
        let event = |data: Value| {
            let name = data.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("event: {name}\ndata: {data}\n\n")
        };
        let mut start = self.message();
        if let Some(message) = start.as_object_mut() {
            message.insert("content".to_owned(), json!([]));
            message.insert("stop_reason".to_owned(), Value::Null);
            message.insert("usage".to_owned(), json!({"input_tokens": self.input, "output_tokens": 1}));
        }
        let mut events = vec![
            event(json!({"type": "message_start", "message": start})),
            event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        ];
        events.extend(self.words().map(|word| {
            let delta = json!({"type": "text_delta", "text": word});
            event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        }));
        events.push(event(json!({"type": "content_block_stop", "index": 0})));
        let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
        let usage = json!({"output_tokens": self.output()});
        events.push(event(json!({"type": "message_delta", "delta": delta, "usage": usage})));
        events.push(event(json!({"type": "message_stop"})));
        events
    }
}
