//! Why an upstream gave no answer.

use super::body::BodyError;

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: refused, unreachable, unresolved, or no TLS.
    #[error("the upstream cannot be reached")]
    Connect(#[source] BodyError),
    /// The connection broke before the answer began.
    #[error("the upstream closed the connection before it answered")]
    Closed(#[source] BodyError),
    /// No first byte in time.
    #[error("the upstream did not begin to answer in time")]
    FirstByte,
    /// An answer that is none, such as an error with the status of success.
    #[error("the upstream's answer cannot be read")]
    Unreadable,
    /// The upstream cannot serve this request format.
    #[error("the upstream does not serve this kind of request")]
    Unsupported,
    /// The request cannot be written for this upstream.
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
            Self::Unsupported => "unsupported",
            Self::Request(_) => "request",
        }
    }
}
