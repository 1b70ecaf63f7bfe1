//! Translates between OpenAI chat completions and Anthropic messages; each submodule writes one format.
//!
//! Fields with an equivalent are translated. Fields that only tune the output (a seed, a bias) are dropped if they have no
//! equivalent. Fields that would change the meaning of the response are refused with their path: such a request needs an
//! upstream of its own format.

pub mod anthropic;
pub mod openai;
pub mod json;
mod tool_id;
mod tool_name;
mod schema;
mod number;
pub mod user_id;
pub mod reasoning;
mod raw_text;
mod tree;
mod surrogates;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::Value;

use self::{anthropic::stream::Expected, openai::request::OUTPUT_LIMIT, tool_name::ToolNames};
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
    /// Whether the client asked for thinking blocks.
    has_thinking: bool,
    /// The tool names that were mapped.
    names: Arc<ToolNames>,
    /// The id of the response if the upstream sends none.
    fallback_id: String,
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
        let invalid = |error: String| Invalid::new("body", error);
        let body = std::str::from_utf8(body).map_err(|error| invalid(error.to_string()))?;
        let written: Value = serde_json::from_str(body).map_err(|error| invalid(error.to_string()))?;
        let (to, longest_name) = match wire {
            Wire::Chat => (Format::Anthropic, tool_name::ANTHROPIC_LENGTH),
            Wire::Messages => (Format::Openai, tool_name::OPENAI_LENGTH),
            Wire::Completions | Wire::Embeddings | Wire::Responses => {
                return Err(Invalid::new("model", "this kind of request is not translated"));
            }
        };
        let mut names = ToolNames::new(longest_name);
        let (text, effort) = match to {
            Format::Anthropic => (anthropic::request::messages(&written, &mut names)?.to_text(), None),
            Format::Openai => {
                let request = openai::request::completion(&written, body, &mut names)?;
                (request.to_string(), openai::request::effort(&written))
            }
        };
        let with_usage = written.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        let has_thinking = reasoning::is_requested(&written);
        let bytes = Bytes::from(text);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let fields = Fields::parse(text).map_err(|error| invalid(error.to_string()))?;
        let document = Document::new(bytes.clone(), &fields);
        let (names, fallback_id) = (Arc::new(names), format!("msg_{:032x}", rand::random::<u128>()));
        Ok(Self { to, document, effort, with_usage, has_thinking, names, fallback_id, created: now() })
    }

    /// Returns the wire format of the translated request.
    pub fn wire(&self) -> Wire {
        match self.to {
            Format::Openai => Wire::Chat,
            Format::Anthropic => Wire::Messages,
        }
    }

    /// Returns the request for an upstream that calls the model `name` and differs from its format by `dialect`.
    pub fn body(&self, name: &str, dialect: Dialect) -> Bytes {
        let mut body = self.document.with_model(name);
        if dialect.has_old_output_limit && self.to == Format::Openai {
            body = renamed(&body, OUTPUT_LIMIT, "max_tokens");
        }
        match (self.effort.filter(|_| dialect.reasons), body.strip_prefix(b"{")) {
            (Some(effort), Some(rest)) => {
                [format!("{{\"reasoning_effort\":\"{effort}\",").as_bytes(), rest].concat().into()
            }
            _ => body,
        }
    }

    /// Translates a complete response of the upstream's model `name`; none if `body` is not a response.
    pub fn response(&self, body: &[u8], name: &str) -> Option<Bytes> {
        let written = match self.to {
            Format::Anthropic => openai::response::completion(body, self.created, &self.names),
            Format::Openai => anthropic::response::message(body, &self.expected(name)),
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

    /// Returns a translator of a stream of the upstream's model `name`, whose events have at most `most` bytes.
    pub fn stream(&self, most: usize, name: &str) -> Stream {
        match self.to {
            Format::Anthropic => {
                let names = Arc::clone(&self.names);
                Stream::Openai(openai::stream::Chunks::new(most, self.created, self.with_usage, names))
            }
            Format::Openai => Stream::Anthropic(anthropic::stream::Events::new(most, self.expected(name))),
        }
    }

    fn expected(&self, name: &str) -> Expected {
        Expected {
            id: self.fallback_id.clone(),
            model: name.to_owned(),
            has_thinking: self.has_thinking,
            names: Arc::clone(&self.names),
        }
    }
}

/// How an upstream differs from its format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Whether the LLM has the reasoning capability.
    pub reasons: bool,
    /// Whether it knows `max_tokens` and not `max_completion_tokens`.
    pub has_old_output_limit: bool,
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

/// Returns the object `body` with its top-level field `from` called `to`.
fn renamed(body: &Bytes, from: &str, to: &str) -> Bytes {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let Ok(fields) = Fields::parse(text) else {
        return body.clone();
    };
    fields.renamed(from, to).into()
}

/// Returns the current time in Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests;
