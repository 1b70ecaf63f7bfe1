//! Which headers travel, and which of ours a response carries.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    api::overrides::PREFIX,
    decide::{Plan, explain},
};

/// Names the decision.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-personaroute-decision");

/// The LLM that answers.
pub(super) const MODEL: HeaderName = HeaderName::from_static("x-personaroute-model");

/// How much the router knew of the user.
pub(super) const USER_STATE: HeaderName = HeaderName::from_static("x-personaroute-user-state");

/// What did not go as planned, in order.
pub(super) const FALLBACK: HeaderName = HeaderName::from_static("x-personaroute-fallback");

/// The decision in full, for who asks.
pub(super) const EXPLAIN: HeaderName = HeaderName::from_static("x-personaroute-explain");

/// Whether the second place that was asked was the one to answer.
pub(super) const HEDGE: HeaderName = HeaderName::from_static("x-personaroute-hedge");

/// Headers that are usually added to those that go on.
const ADDED: usize = 4;

/// Most candidates in the explaining header: keeps it under common header limits.
const EXPLAINED: usize = 20;

/// Whose the client's credentials are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials {
    /// The upstream's: they travel, unless the upstream has a key in the configuration.
    Upstreams,
    /// The gateway's: they end here.
    Gateways,
}

/// Returns the client's headers that go to an upstream.
pub(super) fn request_headers(headers: &HeaderMap, credentials: Credentials) -> HeaderMap {
    let are_ours = credentials == Credentials::Gateways;
    let mut kept = end_to_end(headers, |name| is_gateways_own(name) || (are_ours && is_credential(name)));
    kept.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    kept
}

/// Headers of one connection, which end where it ends (RFC 9110, 7.6.1).
fn is_hop_by_hop(name: &str) -> bool {
    // The last was never a standard, but is sent by clients that take this for a proxy.
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
    )
}

/// Request headers that are the gateway's own business: it is the upstream's client, and the body may change length.
/// Cookies belong to the gateway's origin; compressed answers could not be watched for their end and usage.
fn is_gateways_own(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "cookie" | "expect" | "accept-encoding")
}

/// Request headers that say who the client is.
fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "x-api-key")
}

/// Returns an upstream's headers that go to the client.
pub(super) fn response_headers(headers: &HeaderMap) -> HeaderMap {
    // It overrides a length that stands beside it (RFC 9112, 6.3), which may be wrong.
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    end_to_end(headers, |name| is_coded && name == header::CONTENT_LENGTH.as_str())
}

/// Returns the headers that go on, less those that `is_left_out`.
fn end_to_end(headers: &HeaderMap, is_left_out: impl Fn(&str) -> bool) -> HeaderMap {
    let listed: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len() + ADDED);
    for (name, value) in headers {
        let written = name.as_str();
        let ends_here = is_left_out(written)
            || is_hop_by_hop(written)
            || written.starts_with(PREFIX)
            || listed.iter().any(|listed| written.eq_ignore_ascii_case(listed));
        if !ends_here {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Returns the text that explains `plan`.
pub(super) fn explanation(plan: &Plan) -> String {
    serde_json::to_string(&explain::explain(plan, EXPLAINED)).map_or_else(|_| String::new(), |json| ascii(&json))
}

/// Adds to the `list` of what did not go as planned that `what` ended with `reason`. What no header can hold is left out.
pub(super) fn failed(list: &mut String, what: &str, reason: &str) {
    let is_sayable = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
    if is_sayable(what) && is_sayable(reason) {
        let comma = if list.is_empty() { "" } else { ", " };
        list.extend([comma, what, "=", reason]);
    }
}

/// Sets `name`; a text that is empty, or that no header can hold, is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if !text.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(text.as_bytes())
    {
        headers.insert(name, value);
    }
}

/// JSON may escape any character, and then every client can read the header.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for unit in json.chars() {
        if unit.is_ascii() {
            ascii.push(unit);
            continue;
        }
        for half in unit.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{half:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn tracing_and_idempotency_travel_and_hop_by_hop_does_not() {
        let sent = request_headers(
            &headers(&[
                ("traceparent", "00-1"),
                ("openai-organization", "org"),
                ("idempotency-key", "k"),
                ("connection", "keep-alive, X-Own"),
                ("x-own", "1"),
                ("host", "gateway"),
                ("content-length", "3"),
                ("transfer-encoding", "chunked"),
                ("x-personaroute-user", "ada"),
                ("accept-encoding", "gzip"),
                ("authorization", "Bearer client"),
            ]),
            Credentials::Gateways,
        );
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "idempotency-key", "openai-organization", "traceparent"]);
        assert_eq!(sent["accept-encoding"], "identity");
    }

    #[test]
    fn a_length_beside_a_transfer_coding_ends_here() {
        let kept =
            response_headers(&headers(&[("content-length", "2"), ("transfer-encoding", "chunked"), ("etag", "e")]));
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn repeated_headers_stay_repeated() {
        let kept = response_headers(&headers(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("retry-after", "7")]));
        assert_eq!(kept.get_all("set-cookie").iter().count(), 2);
        assert_eq!(kept["retry-after"], "7");
    }

    #[test]
    fn what_failed_is_listed_in_order_as_far_as_a_header_can_say_it() {
        let mut list = String::new();
        failed(&mut list, "a", "500");
        failed(&mut list, "a\nb", "500");
        failed(&mut list, "é", "connect");
        assert_eq!(list, "a=500, é=connect");
        let mut headers = HeaderMap::new();
        set(&mut headers, FALLBACK, &list);
        set(&mut headers, MODEL, "");
        assert_eq!((headers[FALLBACK].as_bytes(), headers.len()), (list.as_bytes(), 1));
    }

    #[test]
    fn explanations_are_ascii() {
        assert_eq!(ascii("{\"why\":\"é😀\"}"), "{\"why\":\"\\u00e9\\ud83d\\ude00\"}");
    }
}
