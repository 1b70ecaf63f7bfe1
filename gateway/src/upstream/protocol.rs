//! The wire formats that each upstream serves, natively or by translation.

use crate::{
    api::{Wire, translate::Format},
    config::{Kind, ResponsesApi},
};

/// The format in which an upstream receives a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// The client's format.
    Native,
    /// Another format, by translation.
    Translated(Format),
}

impl Protocol {
    /// Returns the protocol for requests of format `wire` to an upstream of kind `kind`, which serves responses as `responses`
    /// says; none if it does not serve them.
    pub fn of(kind: Kind, responses: ResponsesApi, wire: Wire) -> Option<Self> {
        match (kind, wire) {
            (Kind::Openai, Wire::Responses) if responses == ResponsesApi::Chat => {
                Some(Self::Translated(Format::Openai))
            }
            (Kind::Openai, Wire::Chat | Wire::Completions | Wire::Embeddings | Wire::Responses) => Some(Self::Native),
            (Kind::Anthropic, Wire::Messages) => Some(Self::Native),
            (Kind::Simulated, Wire::Chat | Wire::Messages) => Some(Self::Native),
            (Kind::Openai, Wire::Messages) | (Kind::Simulated, Wire::Responses) => {
                Some(Self::Translated(Format::Openai))
            }
            (Kind::Anthropic, Wire::Chat | Wire::Responses) => Some(Self::Translated(Format::Anthropic)),
            (Kind::Anthropic | Kind::Simulated, Wire::Completions | Wire::Embeddings) => None,
        }
    }
}
