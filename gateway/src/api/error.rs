//! Error objects as OpenAI's and Anthropic's clients read them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use super::Wire;

/// A request that breaks a rule; names the field or header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The field or header.
    pub param: Cow<'static, str>,
    /// The rule it breaks.
    pub message: String,
}

impl Invalid {
    /// Returns the fault of `param`.
    pub fn new(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), message: message.into() }
    }
}

/// What a client learns about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// For people.
    pub message: String,
    /// OpenAI's class of error.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The offending field.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<&'static str>,
}

impl ErrorBody {
    /// Returns the JSON text of the error object in the format's own shape.
    pub fn to_json(&self, wire: Option<Wire>) -> String {
        match wire {
            Some(Wire::Messages) => {
                // Anthropic has one class for all faults that are not the client's.
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

    /// Returns the event that ends a broken stream, which clients report as an error.
    pub fn to_event(&self, wire: Wire) -> String {
        match wire {
            Wire::Messages => format!("event: error\ndata: {}\n\n", self.to_json(Some(wire))),
            Wire::Responses => {
                let event = json!({"type": "error", "code": self.code, "message": self.message, "param": self.param});
                format!("event: error\ndata: {event}\n\n")
            }
            Wire::Chat | Wire::Completions | Wire::Embeddings => format!("data: {}\n\n", self.to_json(Some(wire))),
        }
    }
}
