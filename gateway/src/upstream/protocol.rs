//! The wire formats that each kind of upstream serves, natively or by translation.

use crate::{api::Wire, config::Kind};

/// The format in which an upstream receives a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// The client's format.
    Native,
    /// The other format, by translation.
    Translated,
}

impl Protocol {
    /// Returns the protocol for requests of format `wire` to an upstream of kind `kind`; none if it does not serve them.
    pub fn of(kind: Kind, wire: Wire) -> Option<Self> {
        match (kind, wire) {
            (Kind::Openai, Wire::Chat | Wire::Completions | Wire::Embeddings | Wire::Responses) => Some(Self::Native),
            (Kind::Anthropic, Wire::Messages) => Some(Self::Native),
            (Kind::Simulated, Wire::Chat | Wire::Messages) => Some(Self::Native),
            (Kind::Openai, Wire::Messages) | (Kind::Anthropic, Wire::Chat) => Some(Self::Translated),
            (Kind::Anthropic | Kind::Simulated, Wire::Completions | Wire::Embeddings | Wire::Responses) => None,
        }
    }
}
