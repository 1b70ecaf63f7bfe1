//! The admin listener: health, metrics and usage, for operators only.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::{
    proxy::targets_loopback,
    telemetry::{Health, Metrics},
    upstream::{Body, body},
};

/// Content type of the Prometheus and OpenMetrics text formats.
const EXPOSITION: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `request`; `is_local` says that it came over the loopback, where pages of other sites could ask as well.
pub fn answer<B>(request: &Request<B>, is_local: bool, health: &Health, metrics: &Metrics) -> Response<Body> {
    if is_local && !targets_loopback(request.headers(), request.uri()) {
        let message = "the `host` header names another host than 127.0.0.1 or localhost\n";
        return respond(StatusCode::FORBIDDEN, "text/plain", message.to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "use GET\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => respond(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" if health.is_ready() => respond(StatusCode::OK, "text/plain", "ready\n".to_owned()),
        "/readyz" => respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned()),
        "/usage" => respond(StatusCode::OK, "application/json", metrics.usage().render()),
        "/metrics" => respond(StatusCode::OK, EXPOSITION, metrics.render()),
        _ => respond(StatusCode::NOT_FOUND, "text/plain", "see /healthz, /readyz, /metrics, /usage\n".to_owned()),
    }
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
