//! Helpers for the JSON of both formats: reading values, and building errors.

use std::borrow::Cow;

use serde_json::Value;

use super::surrogates;
use crate::api::{ErrorBody, Invalid, Wire};

/// Parses JSON. Unpaired surrogates, which some upstreams produce by splitting an emoji, become U+FFFD.
pub(super) fn read(text: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(text) {
        return Some(value);
    }
    serde_json::from_str(&surrogates::repair_surrogates(std::str::from_utf8(text).ok()?)?).ok()
}

/// Returns `text` as JSON text; unpaired surrogates become U+FFFD.
pub(super) fn readable(text: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(text).ok()?;
    // An ignored value would not be validated.
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Some(Cow::Borrowed(text)),
        Err(_) => surrogates::repair_surrogates(text).map(Cow::Owned),
    }
}

/// Returns the error for the field at `path`, which the format `format` cannot express.
pub(super) fn unsupported(path: impl Into<String>, format: &str) -> Invalid {
    let path = path.into();
    let message = format!("`{path}` cannot be translated for an upstream that speaks {format}'s format");
    Invalid::new(path, message)
}

/// Returns the list `name` of `of`; empty if it is not a list.
pub(super) fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the string `name` of `of`; empty if it is not a string.
pub(super) fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the text of `content`: a string, or the text parts of a list.
pub(super) fn text_of(content: &Value) -> Cow<'_, str> {
    match content {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(parts) => parts.iter().map(|part| text(part, "text")).collect::<String>().into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Cow::Borrowed(""),
    }
}

/// Returns the message of an error object in either format, or an error that is a plain string.
pub(super) fn error_message(error: &Value) -> Option<&str> {
    error.as_str().or_else(|| error.get("message")?.as_str())
}

/// Returns the message of an event that reports an error, in the shape of any vendor; none for other events.
pub fn stream_error(event: &Value) -> Option<&str> {
    const UNNAMED: &str = "the upstream failed";
    if let Some(error) = event.get("error").filter(|error| is_present(error)) {
        return Some(error_message(error).unwrap_or(UNNAMED));
    }
    let is_error = text(event, "object") == "error" || text(event, "type") == "error";
    let message = ["message", "detail"].iter().find_map(|name| event.get(*name)?.as_str());
    // FastAPI sends only `detail`; other servers send a message with a type, which no part of a response has.
    let is_response =
        ["choices", "delta", "content_block", "usage", "id"].iter().any(|name| event.get(*name).is_some());
    let is_bare = !is_response
        && (event.get("detail").is_some_and(is_present) || (message.is_some() && event.get("type").is_some()));
    (is_error || is_bare).then_some(message.unwrap_or(UNNAMED))
}

/// Returns the event that reports an error of the upstream in format `wire`.
pub(super) fn error_event(wire: Wire, message: &str) -> String {
    let code = Some("upstream_stream_error");
    ErrorBody { message: message.to_owned(), kind: "upstream_error", param: None, code }.to_event(wire, 0)
}

/// Returns whether `value` is set: not null, false or empty.
pub(super) fn is_present(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}
