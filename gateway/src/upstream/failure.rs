//! Why an upstream sent no usable response.

use super::body::BodyError;

/// Why an upstream sent no usable response.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: refused, unreachable, not resolved, or the TLS handshake failed.
    #[error("the upstream cannot be reached")]
    Connect(#[source] BodyError),
    /// The connection closed before the response started.
    #[error("the upstream closed the connection before it responded")]
    Closed(#[source] BodyError),
    /// The first byte did not arrive within `first_byte`.
    #[error("the upstream did not respond in time")]
    FirstByte,
    /// The response cannot be translated, for example an error object with status 200.
    #[error("the upstream's response cannot be read")]
    Unreadable,
    /// The response is a redirect, which is not followed: it would send the prompt to another place.
    #[error("the upstream redirects elsewhere")]
    Redirect,
    /// The upstream cannot serve this request format.
    #[error("the upstream does not serve this kind of request")]
    Unsupported,
    /// The request cannot be built for this upstream.
    #[error("the request cannot be sent to the upstream")]
    Request(#[source] http::Error),
}

impl Failure {
    /// Returns the reason as headers, logs and metrics spell it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Closed(_) => "closed",
            Self::FirstByte => "first_byte_timeout",
            Self::Unreadable => "unreadable",
            Self::Redirect => "redirect",
            Self::Unsupported => "unsupported",
            Self::Request(_) => "request",
        }
    }
}
