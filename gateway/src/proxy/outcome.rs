//! How a request ended, as logs and metrics report it.

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The response completed.
    Ok,
    /// The upstream's error response was passed on.
    UpstreamError,
    /// The upstream truncated its response.
    Truncated,
    /// The client disconnected.
    ClientGone,
    /// The gateway returned an error, with this label.
    Error(&'static str),
}

impl Outcome {
    /// Returns the outcome as a label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UpstreamError => "upstream_error",
            Self::Truncated => "truncated",
            Self::ClientGone => "client_gone",
            Self::Error(label) => label,
        }
    }
}
