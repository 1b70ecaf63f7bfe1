//! Responses without router or upstream: models, health, the chat page.

use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{Error, Snapshot, identify::Caller};
use crate::{
    api::models,
    telemetry::Health,
    upstream::{Body, body},
};

/// The chat page: path, content type and content of its files. It loads nothing from other hosts, and sends its requests to
/// this gateway.
const PAGE: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/chat.css", "text/css; charset=utf-8", include_str!("page/chat.css")),
    ("/chat.js", SCRIPT, include_str!("page/chat.js")),
    ("/element.js", SCRIPT, include_str!("page/element.js")),
    ("/gateway.js", SCRIPT, include_str!("page/gateway.js")),
    ("/markdown.js", SCRIPT, include_str!("page/markdown.js")),
    ("/why.js", SCRIPT, include_str!("page/why.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page's content security policy. Responses are shown as text; if one were not, the policy blocks its scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Returns whether GET requests to `path` are served.
pub(super) fn serves(path: &str) -> bool {
    let known = ["/healthz", "/readyz", "/v1/models"];
    known.contains(&path) || path.starts_with("/v1/models/") || PAGE.iter().any(|(file, ..)| *file == path)
}

/// Returns the response to a GET request.
pub(super) fn get(snapshot: &Snapshot, health: &Health, parts: &Parts) -> Result<Response<Body>, Error> {
    match parts.uri.path() {
        "/healthz" => Ok(respond("text/plain", "ok\n")),
        "/readyz" if health.is_ready() => Ok(respond("text/plain", "ready\n")),
        "/readyz" => {
            let mut response = respond("text/plain", "draining\n");
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(response)
        }
        path => match path.strip_prefix("/v1/models") {
            Some(rest) => model_list(snapshot, parts, rest),
            None => {
                let file = PAGE.iter().find(|(file, ..)| *file == path);
                file.map(|(_, kind, text)| page(kind, text)).ok_or(Error::UnknownPath)
            }
        },
    }
}

/// Returns the models that the caller may use, or one of them.
fn model_list(snapshot: &Snapshot, parts: &Parts, rest: &str) -> Result<Response<Body>, Error> {
    let caller = Caller::identify(&snapshot.config.auth, parts)?;
    let mut seen = snapshot.models.names().filter(|(name, _)| caller.may_use_model(name));
    if rest.is_empty() {
        return Ok(respond("application/json", models::list(seen).to_string()));
    }
    let name = rest.strip_prefix('/').ok_or(Error::UnknownPath)?;
    // Clients escape the slash in names such as `team/auto`.
    let name = percent_decode_str(name).decode_utf8_lossy();
    let found = seen.find(|(known, _)| *known == name);
    let (name, owner) = found.ok_or_else(|| Error::UnknownModel(name.into_owned()))?;
    Ok(respond("application/json", models::one(name, owner).to_string()))
}

/// Returns a file of the chat page.
fn page(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = respond(kind, text);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Browsers must load the new page after an update.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

fn respond(kind: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
