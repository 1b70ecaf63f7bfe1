//! Translates between OpenAI chat completions and Anthropic messages; each submodule writes one format.
//!
//! Fields with an equivalent are translated. Fields that only tune the output (a seed, a bias) are dropped if they have no
//! equivalent. Fields that would change the meaning of the response are refused with their path: such a request needs an
//! upstream of its own format.

pub mod anthropic;
pub mod openai;
mod json;
mod surrogates;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;

use super::{Document, Fields, Invalid, Wire};

/// The format of a translated request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Openai,
    Anthropic,
}

/// A translated request, with the parts of the original that the translation of its response needs.
#[derive(Debug)]
pub struct Translation {
    to: Format,
    document: Document,
    /// OpenAI's `reasoning_effort`, sent only to LLMs with the reasoning capability, as others refuse it.
    effort: Option<&'static str>,
    /// Whether the client asked for a separate usage chunk.
    with_usage: bool,
    /// The time of the request in Unix seconds.
    created: u64,
}

impl Translation {
    /// Translates the request `body` of format `wire`.
    ///
    /// # Errors
    ///
    /// Refuses fields that cannot be expressed in the other format, naming their path.
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

    /// Returns the wire format of the translated request.
    pub fn wire(&self) -> Wire {
        match self.to {
            Format::Openai => Wire::Chat,
            Format::Anthropic => Wire::Messages,
        }
    }

    /// Returns the request with the upstream's model name `name`; `reasons` is whether the LLM has the reasoning capability.
    pub fn body(&self, name: &str, reasons: bool) -> Bytes {
        let body = self.document.with_model(name);
        match (self.effort.filter(|_| reasons), body.strip_prefix(b"{")) {
            (Some(effort), Some(rest)) => {
                [format!("{{\"reasoning_effort\":\"{effort}\",").as_bytes(), rest].concat().into()
            }
            _ => body,
        }
    }

    /// Translates a complete response; none if `body` is not a response.
    pub fn response(&self, body: &[u8]) -> Option<Bytes> {
        let written = match self.to {
            Format::Anthropic => openai::response::completion(body, self.created),
            Format::Openai => anthropic::response::message(body),
        };
        written.map(Bytes::from)
    }

    /// Translates an error response; a `body` that is not an error object is returned unchanged.
    pub fn error(&self, status: u16, body: Bytes) -> Bytes {
        let written = match self.to {
            Format::Anthropic => openai::response::error(&body),
            Format::Openai => anthropic::response::error(status, &body),
        };
        written.map_or(body, Bytes::from)
    }

    /// Returns a translator of a stream whose events have at most `most` bytes.
    pub fn stream(&self, most: usize) -> Stream {
        match self.to {
            Format::Anthropic => Stream::Openai(openai::stream::Chunks::new(most, self.created, self.with_usage)),
            Format::Openai => Stream::Anthropic(anthropic::stream::Events::new(most)),
        }
    }
}

/// Translates one stream into the client's format.
#[derive(Debug)]
pub enum Stream {
    /// To chat completion chunks.
    Openai(openai::stream::Chunks),
    /// To message events.
    Anthropic(anthropic::stream::Events),
}

impl Stream {
    /// Takes a chunk of the upstream's stream and returns the translated text, which may be empty.
    pub fn push(&mut self, piece: Bytes) -> String {
        match self {
            Self::Openai(chunks) => chunks.push(piece),
            Self::Anthropic(events) => events.push(piece),
        }
    }

    /// Returns, once, why the rest of the stream cannot be translated.
    pub fn failure(&mut self) -> Option<&'static str> {
        match self {
            Self::Openai(chunks) => chunks.failure(),
            Self::Anthropic(events) => events.failure(),
        }
    }

    /// Returns the translated text for the end of the upstream's stream.
    pub fn finish(&mut self) -> String {
        match self {
            Self::Openai(chunks) => chunks.finish(),
            Self::Anthropic(events) => events.finish(),
        }
    }
}

/// Returns the current time in Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests;
