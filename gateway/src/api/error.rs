//! Error objects in OpenAI's and Anthropic's formats.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use super::Wire;

/// An invalid request, with the field or header at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The field or header.
    pub param: Cow<'static, str>,
    /// What was expected.
    pub message: String,
}

impl Invalid {
    /// Returns an error about `param`.
    pub fn new(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), message: message.into() }
    }
}

/// An error as clients receive it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// The message for people.
    pub message: String,
    /// OpenAI's error type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field at fault.
    pub param: Option<String>,
    /// The code for programs.
    pub code: Option<&'static str>,
}

impl ErrorBody {
    /// Returns the error object as JSON in the format `wire`.
    pub fn to_json(&self, wire: Option<Wire>) -> String {
        match wire {
            Some(Wire::Messages) => {
                // Anthropic has one type for all errors that the client did not cause.
                let kind = match self.kind {
                    "upstream_error" | "server_error" => "api_error",
                    kind => kind,
                };
                json!({"type": "error", "error": {"type": kind, "message": self.message}}).to_string()
            }
            Some(Wire::Chat | Wire::Completions | Wire::Embeddings | Wire::Responses) | None => {
                json!({"error": self}).to_string()
            }
        }
    }

    /// Returns the event that ends a truncated stream of `sequence` events; client libraries report it as an error.
    pub fn to_event(&self, wire: Wire, sequence: u64) -> String {
        match wire {
            Wire::Messages => format!("event: error\ndata: {}\n\n", self.to_json(Some(wire))),
            Wire::Responses => {
                // The documented fields, and the object by which client libraries tell an error.
                let event = json!({"type": "error", "sequence_number": sequence, "code": self.code,
                                   "message": self.message, "param": self.param, "error": self});
                format!("event: error\ndata: {event}\n\n")
            }
            Wire::Chat | Wire::Completions | Wire::Embeddings => format!("data: {}\n\n", self.to_json(Some(wire))),
        }
    }
}
