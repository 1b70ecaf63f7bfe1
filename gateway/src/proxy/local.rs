//! Replies that need neither router nor upstream: models, health, the chat page.

use http::{HeaderValue, Response, StatusCode, header};

use super::{Error, Snapshot};
use crate::{
    api::models,
    telemetry::Health,
    upstream::{Body, body},
};

/// The chat page: one file, no other requests but to this gateway.
const PAGE: &str = include_str!("page.html");

/// Returns what a GET on `path` finds.
pub(super) fn get(snapshot: &Snapshot, health: &Health, path: &str) -> Result<Response<Body>, Error> {
    match path {
        "/" => Ok(respond("text/html; charset=utf-8", PAGE)),
        "/healthz" => Ok(respond("text/plain", "ok\n")),
        "/readyz" if health.is_ready() => Ok(respond("text/plain", "ready\n")),
        "/readyz" => {
            let mut response = respond("text/plain", "draining\n");
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(response)
        }
        "/v1/models" => Ok(respond("application/json", models::list(snapshot.roster.names()).to_string())),
        _ => match path.strip_prefix("/v1/models/") {
            Some(name) => model(snapshot, name),
            None => Err(Error::UnknownPath),
        },
    }
}

fn model(snapshot: &Snapshot, name: &str) -> Result<Response<Body>, Error> {
    let found = snapshot.roster.names().find(|(known, _)| *known == name);
    let (name, owner) = found.ok_or_else(|| Error::UnknownModel(name.to_owned()))?;
    Ok(respond("application/json", models::one(name, owner).to_string()))
}

fn respond(kind: &'static str, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
