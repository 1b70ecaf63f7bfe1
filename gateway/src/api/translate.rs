//! Between OpenAI's chat completions and Anthropic's messages, both ways: each room writes one format.
//!
//! What means the same is carried over. What only tunes an answer (a seed, a bias) is left out where the other format
//! has no word for it. What would change the answer's meaning is refused with its place: such a request is served by an
//! upstream of its own format, or by none.

pub mod anthropic;
pub mod openai;
mod surrogates;

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::Value;

use super::{Document, ErrorBody, Fields, Invalid, Wire};

/// Whose format a request is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Openai,
    Anthropic,
}

/// A request in the words of the other format, and what of it matters for the answer.
#[derive(Debug)]
pub struct Translation {
    to: Format,
    document: Document,
    /// OpenAI's `reasoning_effort`, for LLMs that are declared to reason; the others refuse it.
    effort: Option<&'static str>,
    /// Whether the client wants usage in a chunk of its own.
    with_usage: bool,
    /// Now, in Unix seconds.
    created: u64,
}

impl Translation {
    /// Translates the request `body` of format `wire`.
    ///
    /// # Errors
    ///
    /// Refuses what the other format has no word for, naming its place.
    pub fn of(wire: Wire, body: &[u8]) -> Result<Self, Invalid> {
        let written: Value = serde_json::from_slice(body).map_err(|error| Invalid::new("body", error.to_string()))?;
        let (to, request, effort) = match wire {
            Wire::Chat => (Format::Anthropic, anthropic::request::messages(&written)?, None),
            Wire::Messages => {
                (Format::Openai, openai::request::completion(&written)?, openai::request::effort(&written))
            }
            Wire::Completions | Wire::Embeddings | Wire::Responses => {
                return Err(Invalid::new("model", "this kind of request is not translated"));
            }
        };
        let with_usage = written.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        let text = request.to_string();
        let bytes = Bytes::from(text);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let fields = Fields::parse(text).map_err(|error| Invalid::new("body", error.to_string()))?;
        Ok(Self { to, document: Document::new(bytes.clone(), &fields), effort, with_usage, created: now() })
    }

    /// Returns the format it is written in.
    pub fn wire(&self) -> Wire {
        match self.to {
            Format::Openai => Wire::Chat,
            Format::Anthropic => Wire::Messages,
        }
    }

    /// Returns the request with the upstream's own `name` of the model; `reasons` says whether it is declared to reason.
    pub fn body(&self, name: &str, reasons: bool) -> Bytes {
        let body = self.document.with_model(name);
        match (self.effort.filter(|_| reasons), body.strip_prefix(b"{")) {
            (Some(effort), Some(rest)) => {
                [format!("{{\"reasoning_effort\":\"{effort}\",").as_bytes(), rest].concat().into()
            }
            _ => body,
        }
    }

    /// Returns the answer in one piece in the client's words; none when `body` holds no answer.
    pub fn response(&self, body: &[u8]) -> Option<Bytes> {
        let written = match self.to {
            Format::Anthropic => openai::response::completion(body, self.created),
            Format::Openai => anthropic::response::message(body),
        };
        written.map(Bytes::from)
    }

    /// Returns the error of an upstream in the client's words: `body` when it is no error object.
    pub fn error(&self, status: u16, body: Bytes) -> Bytes {
        let written = match self.to {
            Format::Anthropic => openai::response::error(&body),
            Format::Openai => anthropic::response::error(status, &body),
        };
        written.map_or(body, Bytes::from)
    }

    /// Returns what translates a stream of answers whose events have at most `most` bytes.
    pub fn stream(&self, most: usize) -> Stream {
        match self.to {
            Format::Anthropic => Stream::Openai(openai::stream::Chunks::new(most, self.created, self.with_usage)),
            Format::Openai => Stream::Anthropic(anthropic::stream::Events::new(most)),
        }
    }
}

/// Translates one stream into the client's words.
#[derive(Debug)]
pub enum Stream {
    /// Into chat completion chunks.
    Openai(openai::stream::Chunks),
    /// Into message events.
    Anthropic(anthropic::stream::Events),
}

impl Stream {
    /// Takes a piece of the upstream's stream and returns what follows from it, possibly nothing.
    pub fn push(&mut self, piece: Bytes) -> String {
        match self {
            Self::Openai(chunks) => chunks.push(piece),
            Self::Anthropic(events) => events.push(piece),
        }
    }

    /// Returns why the stream cannot be translated any further, once.
    pub fn failure(&mut self) -> Option<&'static str> {
        match self {
            Self::Openai(chunks) => chunks.failure(),
            Self::Anthropic(events) => events.failure(),
        }
    }

    /// Returns what follows from the end of the upstream's stream.
    pub fn finish(&mut self) -> String {
        match self {
            Self::Openai(chunks) => chunks.finish(),
            Self::Anthropic(events) => events.finish(),
        }
    }
}

/// Reads JSON that may hold halves of surrogate pairs, as when an upstream cuts an emoji in two: they become U+FFFD.
fn read(text: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(text) {
        return Some(value);
    }
    serde_json::from_str(&surrogates::repair_surrogates(std::str::from_utf8(text).ok()?)?).ok()
}

/// Now, in Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Returns the refusal of what stands at `place`, for which the format that `side` names has no word.
fn unsupported(place: impl Into<String>, side: &str) -> Invalid {
    let place = place.into();
    let message = format!("`{place}` cannot be carried over to an upstream that speaks {side}'s format");
    Invalid::new(place, message)
}

/// Returns the list `name` of `of`; nothing when it is no list.
fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the string `name` of `of`; empty when it is none.
fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns what `content` says: a string, or the text parts of a list.
fn text_of(content: &Value) -> Cow<'_, str> {
    match content {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(parts) => parts.iter().map(|part| text(part, "text")).collect::<String>().into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Cow::Borrowed(""),
    }
}

/// Returns the message of an error object in either format, or of one that is just a string.
fn error_message(error: &Value) -> Option<&str> {
    error.as_str().or_else(|| error.get("message")?.as_str())
}

/// Returns the event that passes on an error of the upstream's in format `wire`.
fn error_event(wire: Wire, message: &str) -> String {
    let code = Some("upstream_stream_error");
    ErrorBody { message: message.to_owned(), kind: "upstream_error", param: None, code }.to_event(wire)
}

/// Returns whether `value` says anything.
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests;
