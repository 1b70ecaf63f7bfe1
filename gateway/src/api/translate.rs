//! Translates between OpenAI chat completions and Anthropic messages, and from OpenAI responses to either; each submodule
//! writes one format.
//!
//! Fields with an equivalent are translated. Fields that only tune the output (a seed, a bias) are dropped if they have no
//! equivalent. Fields that would change the meaning of the response are refused with their path: such a request needs an
//! upstream of its own format.

pub mod anthropic;
pub mod openai;
pub mod responses;
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
pub mod table;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::Value;

use self::{
    anthropic::{request::Thinking, stream::Expected},
    openai::request::OUTPUT_LIMIT,
    responses::stream::Responses,
    tool_name::ToolNames,
};
use super::{Document, Fields, Invalid, Wire};

/// The format of a translated request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// OpenAI's chat completions.
    Openai,
    /// Anthropic's messages.
    Anthropic,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Openai, Self::Anthropic];

    /// Returns the vendor's name, for errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => openai::TARGET_FORMAT,
            Self::Anthropic => anthropic::TARGET_FORMAT,
        }
    }
}

/// A translated request, with the parts of the original that the translation of its response needs.
#[derive(Debug)]
pub struct Translation {
    to: Format,
    document: Document,
    /// The request with thinking, sent only to LLMs with the reasoning capability, as others refuse it.
    thinking: Option<Document>,
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
    /// What a client of `/v1/responses` expects; none for other clients.
    responses: Option<Arc<responses::expected::Expected>>,
}

impl Translation {
    /// Translates the request `body` of format `wire` for an upstream of format `to`.
    ///
    /// # Errors
    ///
    /// Refuses fields that cannot be expressed in the other format, naming their path.
    pub fn of(wire: Wire, to: Format, body: &[u8]) -> Result<Self, Invalid> {
        let body = std::str::from_utf8(body).map_err(unreadable)?;
        let written: Value = serde_json::from_str(body).map_err(unreadable)?;
        let translated = match (wire, to) {
            (Wire::Chat, Format::Anthropic) => chat_to_messages(&written),
            (Wire::Messages, Format::Openai) => messages_to_chat(&written, body),
            (Wire::Responses, to) => responses_to(&written, to),
            (Wire::Chat | Wire::Messages | Wire::Completions | Wire::Embeddings, _) => {
                Err(Invalid::new("model", "this kind of request is not translated"))
            }
        }?;
        let created = now();
        let number = rand::random::<u128>();
        let response = || responses::expected::Expected::of(&written, format!("resp_{number:032x}"), created);
        Ok(Self {
            to,
            document: document(translated.text)?,
            thinking: translated.thinking.map(document).transpose()?,
            effort: translated.effort,
            with_usage: written.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            has_thinking: reasoning::is_requested(&written),
            names: Arc::new(translated.names),
            fallback_id: format!("msg_{number:032x}"),
            created,
            responses: (wire == Wire::Responses).then(|| Arc::new(response())),
        })
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
        let document = self.thinking.as_ref().filter(|_| dialect.reasons).unwrap_or(&self.document);
        let mut body = document.with_model(name);
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
        let names = || Arc::clone(&self.names);
        let written = match (self.to, &self.responses) {
            (Format::Anthropic, None) => openai::response::completion(body, self.created, &self.names),
            (Format::Openai, None) => anthropic::response::message(body, &self.expected(name)),
            (Format::Anthropic, Some(response)) => {
                responses::whole::of_message(body, Arc::clone(response), names(), name)
            }
            (Format::Openai, Some(response)) => {
                responses::whole::of_completion(body, Arc::clone(response), self.expected(name))
            }
        };
        written.map(Bytes::from)
    }

    /// Translates an error response; a `body` that is not an error object is returned unchanged.
    pub fn error(&self, status: u16, body: Bytes) -> Bytes {
        let written = match (self.to, &self.responses) {
            (Format::Anthropic, _) => openai::response::error(&body),
            (Format::Openai, None) => anthropic::response::error(status, &body),
            (Format::Openai, Some(_)) => None,
        };
        written.map_or(body, Bytes::from)
    }

    /// Returns a translator of a stream of the upstream's model `name`, whose events have at most `most` bytes.
    pub fn stream(&self, most: usize, name: &str) -> Stream {
        let names = || Arc::clone(&self.names);
        match (self.to, &self.responses) {
            (Format::Anthropic, None) => {
                Stream::Openai(openai::stream::Chunks::new(most, self.created, self.with_usage, names()))
            }
            (Format::Openai, None) => Stream::Anthropic(anthropic::stream::Events::new(most, self.expected(name))),
            (Format::Anthropic, Some(response)) => {
                Stream::Responses(Responses::of_messages(most, Arc::clone(response), names(), name))
            }
            (Format::Openai, Some(response)) => {
                Stream::Responses(Responses::of_chunks(most, Arc::clone(response), self.expected(name)))
            }
        }
    }

    fn expected(&self, name: &str) -> Expected {
        let is_response = self.responses.is_some();
        Expected {
            id: self.fallback_id.clone(),
            model: name.to_owned(),
            // A response carries all thinking, which its client returns.
            has_thinking: self.has_thinking || is_response,
            keeps_details: is_response,
            names: Arc::clone(&self.names),
        }
    }
}

/// A request in another format.
struct Translated {
    text: String,
    thinking: Option<String>,
    effort: Option<&'static str>,
    names: ToolNames,
}

fn chat_to_messages(written: &Value) -> Result<Translated, Invalid> {
    let names = ToolNames::of(openai::request::tool_names(written), tool_name::ANTHROPIC_LENGTH);
    let text = anthropic::request::messages(written, &names, &Thinking::default())?.to_text();
    Ok(Translated { text, thinking: None, effort: None, names })
}

fn messages_to_chat(written: &Value, body: &str) -> Result<Translated, Invalid> {
    let names = ToolNames::of(anthropic::request::tool_names(written), tool_name::OPENAI_LENGTH);
    let text = openai::request::completion(written, body, &names)?.to_string();
    Ok(Translated { text, thinking: None, effort: openai::request::effort(written), names })
}

fn responses_to(written: &Value, to: Format) -> Result<Translated, Invalid> {
    let named = responses::request::names(written);
    if to == Format::Openai {
        let names = ToolNames::of(named, tool_name::OPENAI_LENGTH);
        let text = responses::request::chat(written, to, Some(&names))?.chat.to_string();
        return Ok(Translated { text, thinking: None, effort: responses::request::effort(written), names });
    }
    let names = ToolNames::of(named, tool_name::ANTHROPIC_LENGTH);
    let mut request = responses::request::chat(written, to, None)?;
    let messages = |request: &responses::request::Chat| {
        let messages = anthropic::request::messages(&request.chat, &names, &request.thinking);
        messages.map(|tree| tree.to_text()).map_err(|invalid| request.located(&invalid))
    };
    let thinking = request.thinking.budget.is_some().then(|| messages(&request)).transpose()?;
    request.thinking.budget = None;
    let text = messages(&request)?;
    Ok(Translated { text, thinking, effort: None, names })
}

fn unreadable(error: impl std::fmt::Display) -> Invalid {
    Invalid::new("body", error.to_string())
}

fn document(text: String) -> Result<Document, Invalid> {
    let bytes = Bytes::from(text);
    let text = std::str::from_utf8(&bytes).map_err(unreadable)?;
    let fields = Fields::parse(text).map_err(unreadable)?;
    Ok(Document::new(bytes.clone(), &fields))
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
    /// To the events of a response.
    Responses(Responses),
}

impl Stream {
    /// Takes a chunk of the upstream's stream and returns the translated text, which may be empty.
    pub fn push(&mut self, piece: Bytes) -> String {
        match self {
            Self::Openai(chunks) => chunks.push(piece),
            Self::Anthropic(events) => events.push(piece),
            Self::Responses(events) => events.push(piece),
        }
    }

    /// Returns, once, why the rest of the stream cannot be translated.
    pub fn failure(&mut self) -> Option<&'static str> {
        match self {
            Self::Openai(chunks) => chunks.failure(),
            Self::Anthropic(events) => events.failure(),
            Self::Responses(events) => events.failure(),
        }
    }

    /// Returns the translated text for the end of the upstream's stream.
    pub fn finish(&mut self) -> String {
        match self {
            Self::Openai(chunks) => chunks.finish(),
            Self::Anthropic(events) => events.finish(),
            Self::Responses(events) => events.finish(),
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
