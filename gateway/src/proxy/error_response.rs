//! Builds every error response. The client gets the message; the causes go to the log.

use http::{HeaderValue, Response, header};

use super::{Error, error::Origin, request_log::RequestLog};
use crate::{
    api::{ErrorBody, Wire, error_code},
    upstream::{Body, body},
};

/// Returns the response for `error`, and ends the request that `log` belongs to.
pub(super) fn build(error: &Error, wire: Option<Wire>, log: Option<RequestLog>) -> Response<Body> {
    log_error(error);
    let mut response = Response::new(body::full(error_body(error, wire).to_json(wire)));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    if let Some(log) = log {
        log.fail(error, headers);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = error.retry_after() {
        // Rounded up, so that no client retries too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if matches!(error, Error::Unauthenticated) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Error::Method { allowed } = error {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    // Keeping the connection would require reading the rest of the body.
    if matches!(error, Error::BodyTooLarge { .. } | Error::BodyTimeout) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns the event that ends a stream which the upstream truncated after `sequence` events.
pub(super) fn truncation_event(wire: Wire, message: &'static str, sequence: u64) -> String {
    let body = ErrorBody {
        message: message.to_owned(),
        kind: "upstream_error",
        param: None,
        code: Some("upstream_stream_truncated"),
    };
    body.to_event(wire, sequence)
}

fn error_body(error: &Error, wire: Option<Wire>) -> ErrorBody {
    let kind = match (error.origin(), error.status().as_u16()) {
        (Origin::Client, status) if wire == Some(Wire::Messages) => error_code::anthropic_type(status),
        (Origin::Client, 401) => "authentication_error",
        (Origin::Client, 403) => "permission_error",
        (Origin::Client, 429) => "rate_limit_error",
        (Origin::Client, _) => "invalid_request_error",
        (Origin::Upstream, _) => "upstream_error",
        (Origin::Internal, _) => "server_error",
    };
    ErrorBody { message: error.to_string(), kind, param: error.param().map(str::to_owned), code: Some(error.label()) }
}

fn log_error(error: &Error) {
    let label = error.label();
    let causes = causes(error);
    match error.origin() {
        Origin::Client => tracing::debug!(error = label, causes, "request refused"),
        Origin::Upstream | Origin::Internal => tracing::warn!(error = label, causes, "request failed"),
    }
}

fn causes(error: &Error) -> String {
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.join(": ")
}
