//! Which headers travel, and which of ours a response carries.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    api::overrides::PREFIX,
    decide::{Plan, explain},
};

/// Headers of one connection, which end where it ends (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    // Never a standard, but sent by clients that take this for a proxy.
    HeaderName::from_static("proxy-connection"),
];

/// Request headers that are the gateway's own business: it is the upstream's client, and the body may change length.
/// Cookies belong to the gateway's origin; compressed answers could not be watched for their end and usage.
const OURS: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::COOKIE, header::EXPECT, header::ACCEPT_ENCODING];

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
pub(super) fn outbound(headers: &HeaderMap, credentials: Credentials) -> HeaderMap {
    let mut kept = end_to_end(headers);
    if credentials == Credentials::Gateways {
        kept.remove(header::AUTHORIZATION);
        kept.remove("x-api-key");
    }
    for name in &OURS {
        kept.remove(name);
    }
    kept.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    kept
}

/// Returns an upstream's headers that go to the client.
pub(super) fn inbound(headers: &HeaderMap) -> HeaderMap {
    let mut kept = end_to_end(headers);
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // It overrides a length that stands beside it (RFC 9112, 6.3), which may be wrong.
        kept.remove(header::CONTENT_LENGTH);
    }
    kept
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let listed: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let ends_here = HOP_BY_HOP.contains(name)
            || name.as_str().starts_with(PREFIX)
            || listed.iter().any(|listed| name.as_str().eq_ignore_ascii_case(listed));
        if !ends_here {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Returns the headers that tell about a decision.
pub(super) fn decision(plan: &Plan, explained: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    set(&mut headers, "x-personaroute-decision", &plan.id);
    if let Some(chosen) = plan.chosen() {
        set(&mut headers, "x-personaroute-model", &chosen.llm);
    }
    if let Some(state) = plan.user_state {
        set(&mut headers, "x-personaroute-user-state", state.as_str());
    }
    if let Some(reason) = plan.degraded {
        set(&mut headers, "x-personaroute-fallback", &format!("router={}", reason.as_str()));
    }
    if explained && let Ok(json) = serde_json::to_string(&explain::explain(plan, EXPLAINED)) {
        set(&mut headers, "x-personaroute-explain", &ascii(&json));
    }
    headers
}

/// Adds a failed attempt to the header that lists them.
pub(super) fn failed_attempt(headers: &mut HeaderMap, llm: &str, reason: &str) {
    let name = "x-personaroute-fallback";
    let before = headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let list = before.map_or_else(String::new, |before| format!("{before}, "));
    set(headers, name, &format!("{list}{llm}={reason}"));
}

/// Sets `name`; a text that no header can hold is left out.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
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
        let sent = outbound(
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
        let kept = inbound(&headers(&[("content-length", "2"), ("transfer-encoding", "chunked"), ("etag", "e")]));
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn repeated_headers_stay_repeated() {
        let kept = inbound(&headers(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("retry-after", "7")]));
        assert_eq!(kept.get_all("set-cookie").iter().count(), 2);
        assert_eq!(kept["retry-after"], "7");
    }

    #[test]
    fn failed_attempts_are_listed_in_order() {
        let mut headers = HeaderMap::new();
        failed_attempt(&mut headers, "a", "500");
        failed_attempt(&mut headers, "b", "connect");
        assert_eq!(headers["x-personaroute-fallback"], "a=500, b=connect");
    }

    #[test]
    fn explanations_are_ascii() {
        assert_eq!(ascii("{\"why\":\"é😀\"}"), "{\"why\":\"\\u00e9\\ud83d\\ude00\"}");
    }
}
