//! The admin endpoints: health, metrics and usage, for operators only.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::{
    config::{Config, Secret},
    proxy::targets_loopback,
    telemetry::{Health, Metrics},
    upstream::{Body, body},
};

/// Content type of the Prometheus and OpenMetrics text formats.
const EXPOSITION: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who may use the admin endpoints.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whether the listener is on loopback, where a page of another site could send requests with a browser.
    is_local: bool,
    /// The bearer token, if one is configured.
    token: Option<Secret>,
}

impl Access {
    /// Returns the access that `config` defines.
    pub fn of(config: &Config) -> Self {
        let is_local = config.admin.is_some_and(|admin| admin.ip().is_loopback());
        Self { is_local, token: config.admin_token.clone() }
    }

    /// Returns whether `headers` have the token, if one is configured.
    fn is_granted(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| given.ct_eq(token.expose().as_bytes()).into())
    }
}

/// Returns whether `path` is an operation on what was learned, which the proxy serves.
pub fn is_operation(path: &str) -> bool {
    path == "/interactions" || path == "/users" || path.starts_with("/users/")
}

/// Returns the response to a request without access to operations, if it has none.
pub fn refusal<B>(request: &Request<B>, access: &Access) -> Option<Response<Body>> {
    foreign_host(request, access).or_else(|| (!access.is_granted(request.headers())).then(unauthorized))
}

fn foreign_host<B>(request: &Request<B>, access: &Access) -> Option<Response<Body>> {
    let is_foreign = access.is_local && !targets_loopback(request.headers(), request.uri());
    let message = "the `host` header names another host than 127.0.0.1 or localhost\n";
    is_foreign.then(|| respond(StatusCode::FORBIDDEN, "text/plain", message.to_owned()))
}

/// Answers `request`. The health checks need no token, because the probes of Kubernetes send none.
pub fn answer<B>(request: &Request<B>, access: &Access, health: &Health, metrics: &Metrics) -> Response<Body> {
    if let Some(refused) = foreign_host(request, access) {
        return refused;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "use GET\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => respond(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" if health.is_ready() => respond(StatusCode::OK, "text/plain", "ready\n".to_owned()),
        "/readyz" => respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned()),
        _ if !access.is_granted(request.headers()) => unauthorized(),
        "/usage" => respond(StatusCode::OK, "application/json", metrics.usage().render()),
        "/metrics" => respond(StatusCode::OK, EXPOSITION, metrics.render()),
        _ => respond(StatusCode::NOT_FOUND, "text/plain", "see /healthz, /readyz, /metrics, /usage\n".to_owned()),
    }
}

fn unauthorized() -> Response<Body> {
    let message = "this path needs the header `authorization: Bearer TOKEN` with the token of `admin_token`\n";
    let mut response = respond(StatusCode::UNAUTHORIZED, "text/plain", message.to_owned());
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, authorization: Option<&str>, token: Option<&str>) -> u16 {
        let mut request = Request::get(format!("http://10.0.0.1:8081{path}"));
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let access = Access { is_local: false, token: token.map(|token| Secret::plain(token.to_owned())) };
        answer(&request.body(()).unwrap(), &access, &Health::default(), &Metrics::default()).status().as_u16()
    }

    #[test]
    fn metrics_and_usage_need_the_token() {
        for path in ["/metrics", "/usage", "/unknown"] {
            for wrong in
                [None, Some("Bearer other"), Some("Bearer s3cre"), Some("Bearer s3cret2"), Some("Basic s3cret")]
            {
                assert_eq!(status(path, wrong, Some("s3cret")), 401, "{path} {wrong:?}");
            }
        }
        assert_eq!(status("/metrics", Some("Bearer s3cret"), Some("s3cret")), 200);
        assert_eq!(status("/metrics", None, None), 200, "no token is configured");
    }

    #[test]
    fn health_checks_need_no_token() {
        assert_eq!(status("/healthz", None, Some("s3cret")), 200);
        assert_eq!(status("/readyz", None, Some("s3cret")), 200);
    }
}
