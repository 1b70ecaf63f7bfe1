//! The error of a request, with its status, label and retry hints.

use std::time::Duration;

use http::StatusCode;

use crate::{
    api::Invalid,
    decide::ExcludedCandidate,
    state::LimitExceeded,
    upstream::{Failure, body::BodyError},
};

/// Why a request got no response from an upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is not served.
    #[error("unknown path")]
    UnknownPath,
    /// The path does not support the method.
    #[error("method not allowed, use {allowed}")]
    Method {
        /// The supported methods.
        allowed: &'static str,
    },
    /// The body exceeds `limits.body`.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// `limits.body`.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The connection closed in the middle of the body.
    #[error("the request body cannot be read")]
    BodyBroken(#[source] BodyError),
    /// The body is not a JSON object.
    #[error("the request body is not a JSON object: {0}")]
    NotJson(String),
    /// A field or header is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The model is not configured.
    #[error("the model `{0}` does not exist")]
    UnknownModel(String),
    /// No upstream of the model serves this wire format.
    #[error("the model `{0}` does not serve this kind of request")]
    WrongFormat(String),
    /// No candidate can serve the request.
    #[error("no candidate can serve the request: {}", list(.0))]
    NoCandidate(Vec<ExcludedCandidate>),
    /// The gateway has no API keys, and the request is for another host or from a page of another host.
    #[error(
        "the `{0}` header names another host: without API keys only this machine is served, as 127.0.0.1 or localhost"
    )]
    ForbiddenHost(&'static str),
    /// No API key, or an unknown one.
    #[error("a valid API key is needed")]
    Unauthenticated,
    /// The key lacks a permission.
    #[error("{0}")]
    Forbidden(Permission),
    /// A limit of the key or the user is reached.
    #[error("the limit {} is reached", .0.limit)]
    LimitReached(LimitExceeded),
    /// Too many requests are in flight.
    #[error("too many requests are in flight")]
    Busy,
    /// The circuit of every endpoint is open.
    #[error("the circuit breaker of every upstream for this request is open")]
    CircuitsOpen {
        /// When the first circuit becomes half-open.
        wait: Duration,
    },
    /// Every attempt failed; this is the last failure.
    #[error("no upstream responded: {0}")]
    Upstream(#[source] Failure),
    /// The whole request took too long.
    #[error("the request took too long")]
    Timeout,
    /// No decision with this id can be given feedback.
    #[error("no decision has this id, it is older than `learning.window`, or it belongs to another user")]
    UnknownDecision,
    /// The configuration switches learning off.
    #[error("this gateway does not learn: `learning.enabled` is false")]
    LearningOff,
    /// The store of signals does not work.
    #[error("signals cannot be kept now: {0}")]
    LearningUnavailable(&'static str),
}

/// A permission that a key may lack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Permission {
    /// To set this header, or the equivalent field of a body.
    #[error("the API key may not set `{0}`")]
    Header(&'static str),
    /// To speak for this user.
    #[error("the API key may not speak for this user")]
    User,
    /// To use this model.
    #[error("the API key may not use the model `{0}`")]
    Model(String),
}

/// Which side caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// The gateway, or its limits.
    Internal,
}

impl Error {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath | Self::UnknownModel(_) | Self::UnknownDecision | Self::LearningOff => {
                StatusCode::NOT_FOUND
            }
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken(_) | Self::NotJson(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::WrongFormat(_) | Self::NoCandidate(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::ForbiddenHost(_) => StatusCode::FORBIDDEN,
            Self::LimitReached(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::CircuitsOpen { .. } | Self::LearningUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(Failure::FirstByte) | Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Upstream(
                Failure::Connect(_)
                | Failure::Closed(_)
                | Failure::Unreadable
                | Failure::Redirect
                | Failure::Unsupported
                | Failure::Request(_),
            ) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns which side caused the error.
    pub fn origin(&self) -> Origin {
        match self {
            Self::UnknownPath | Self::Method { .. } | Self::BodyTooLarge { .. } | Self::BodyTimeout => Origin::Client,
            Self::BodyBroken(_) | Self::NotJson(_) | Self::Invalid(_) | Self::UnknownModel(_) => Origin::Client,
            Self::WrongFormat(_) | Self::NoCandidate(_) | Self::UnknownDecision | Self::LearningOff => Origin::Client,
            Self::Unauthenticated | Self::Forbidden(_) | Self::ForbiddenHost(_) | Self::LimitReached(_) => {
                Origin::Client
            }
            Self::Busy | Self::LearningUnavailable(_) => Origin::Internal,
            Self::Upstream(_) | Self::Timeout | Self::CircuitsOpen { .. } => Origin::Upstream,
        }
    }

    /// Returns when the client may retry, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            // Overload ends when requests in flight finish.
            Self::Busy | Self::LearningUnavailable(_) => Some(Duration::from_secs(1)),
            Self::UnknownDecision | Self::LearningOff => None,
            Self::CircuitsOpen { wait } => Some(*wait),
            Self::LimitReached(refusal) => Some(refusal.retry_after),
            Self::Unauthenticated | Self::Forbidden(_) | Self::ForbiddenHost(_) => None,
            Self::UnknownPath | Self::Method { .. } | Self::BodyTooLarge { .. } | Self::BodyTimeout => None,
            Self::BodyBroken(_) | Self::NotJson(_) | Self::Invalid(_) | Self::UnknownModel(_) => None,
            Self::WrongFormat(_) | Self::NoCandidate(_) | Self::Upstream(_) | Self::Timeout => None,
        }
    }

    /// Returns the name that metrics, logs and the error object's `code` use.
    pub fn label(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::Method { .. } => "method_not_allowed",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken(_) => "body_broken",
            Self::NotJson(_) => "invalid_json",
            Self::Invalid(_) => "invalid_request",
            Self::UnknownModel(_) => "model_not_found",
            Self::WrongFormat(_) => "wrong_format",
            Self::NoCandidate(_) => "no_candidate",
            Self::Unauthenticated => "invalid_api_key",
            Self::Forbidden(_) | Self::ForbiddenHost(_) => "forbidden",
            Self::LimitReached(refusal) if refusal.limit == "budget" => "insufficient_quota",
            Self::LimitReached(_) => "rate_limit_exceeded",
            Self::Busy => "busy",
            Self::CircuitsOpen { .. } => "upstream_circuit_open",
            Self::Upstream(failure) => match failure {
                Failure::Connect(_) => "upstream_unreachable",
                Failure::Closed(_) => "upstream_closed",
                Failure::Unreadable => "upstream_unreadable",
                Failure::Redirect => "upstream_redirect",
                Failure::FirstByte => "upstream_timeout",
                Failure::Unsupported | Failure::Request(_) => "upstream_unsupported",
            },
            Self::Timeout => "timeout",
            Self::UnknownDecision => "decision_not_found",
            Self::LearningOff => "learning_off",
            Self::LearningUnavailable(_) => "learning_unavailable",
        }
    }

    /// Returns the field or header at fault.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid(invalid) => Some(&invalid.param),
            Self::UnknownModel(_) | Self::WrongFormat(_) => Some("model"),
            Self::UnknownPath | Self::Method { .. } | Self::BodyTooLarge { .. } | Self::BodyTimeout => None,
            Self::BodyBroken(_) | Self::NotJson(_) | Self::NoCandidate(_) => None,
            Self::Forbidden(Permission::Header(header)) | Self::ForbiddenHost(header) => Some(header),
            Self::Forbidden(Permission::Model(_)) => Some("model"),
            Self::Forbidden(Permission::User) => Some("user"),
            Self::UnknownDecision => Some("decision_id"),
            Self::LearningOff | Self::LearningUnavailable(_) => None,
            Self::Unauthenticated => None,
            Self::LimitReached(refusal) => Some(refusal.limit),
            Self::Busy | Self::CircuitsOpen { .. } | Self::Upstream(_) | Self::Timeout => None,
        }
    }
}

fn list(excluded: &[ExcludedCandidate]) -> String {
    let items: Vec<String> =
        excluded.iter().take(20).map(|left| format!("{} ({})", left.llm, left.reason.as_str())).collect();
    items.join(", ")
}
