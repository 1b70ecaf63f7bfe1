//! What a fake upstream answers: a status, headers, and a body in frames with pauses that the test opens.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// One reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub frames: Vec<Frame>,
}

/// One step of a body.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Bytes, sent at once.
    Data(Bytes),
    /// Nothing more until the test opens the gate.
    Wait(Gate),
    /// Nothing more for this time: how long the upstream works on a request.
    Pause(Duration),
    /// The connection breaks here.
    Cut,
}

/// A pause that lasts until the test ends it.
#[derive(Clone, Debug)]
pub struct Gate(pub(super) Arc<Semaphore>);

impl Gate {
    /// Returns a closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiting reply through.
    pub fn open(&self) {
        self.0.add_permits(1);
    }
}

impl Reply {
    /// A JSON body with a status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "application/json", body.to_string())
    }

    /// A body of any kind.
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, frames: vec![Frame::Data(body.into())] }
    }

    /// A chat completion as OpenAI writes it.
    pub fn chat(text: &str) -> Self {
        let message = json!({ "role": "assistant", "content": text });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        let usage = json!({ "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 });
        let reply = json!({
            "id": "chatcmpl-fake", "object": "chat.completion", "created": 1_700_000_000,
            "model": "fake-upstream-model", "choices": [choice], "usage": usage, "x_unknown": { "kept": true },
        });
        Self::json(200, &reply)
    }

    /// A streamed chat completion, one event per piece of text, ended by `[DONE]`.
    pub fn chat_stream(pieces: &[&str]) -> Self {
        let mut frames: Vec<Frame> = pieces.iter().map(|piece| Frame::event(&chunk(piece))).collect();
        frames.push(Frame::end());
        Self::events(frames)
    }

    /// An event stream of these frames.
    pub fn events(frames: Vec<Frame>) -> Self {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Self { status: 200, headers, frames }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Frame {
    /// What [`Self::end`] sends.
    pub const END: &str = concat!(
        r#"data: {"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1700000000,"model":"fake-upstream-model","#,
        r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\n\ndata: [DONE]\n\n"
    );

    /// One server-sent event.
    pub fn event(body: &Value) -> Self {
        Self::Data(format!("data: {body}\n\n").into())
    }

    /// The finish reason and the end mark of an OpenAI stream.
    pub fn end() -> Self {
        Self::Data(Bytes::from_static(Self::END.as_bytes()))
    }

    /// The end mark of an OpenAI stream.
    pub fn done() -> Self {
        Self::Data(Bytes::from_static(b"data: [DONE]\n\n"))
    }
}

/// One chunk of a streamed chat completion.
fn chunk(text: &str) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake-upstream-model",
        "choices": [{ "index": 0, "delta": { "role": "assistant", "content": text }, "finish_reason": null }],
    })
}
