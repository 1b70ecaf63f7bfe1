//! Selects the headers that are forwarded, in both directions.

use http::{HeaderMap, HeaderValue, header};

/// Space for the headers that are usually added.
const ADDED: usize = 4;

/// The service that the client's credentials are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials {
    /// The upstream: they are forwarded, unless the upstream has a configured key.
    Upstream,
    /// The gateway: they are removed.
    Gateway,
}

/// Returns whether a request header is forwarded: what a caller says about itself, its trace and its request, and the vendors'
/// own headers. Everything that a browser adds about the page, and every cookie, stays here.
fn is_request_header(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "user-agent"
            | "traceparent"
            | "tracestate"
            | "baggage"
            | "idempotency-key"
            | "x-request-id"
            | "x-client-request-id"
            | "x-session-id"
            | "x-title"
            | "http-referer"
    ) || match name.as_bytes().first() {
        Some(b'o') => name.starts_with("openai-"),
        Some(b'a') => name.starts_with("anthropic-"),
        Some(b'x') => name.starts_with("x-stainless-"),
        _ => false,
    }
}

/// Returns whether a request header authenticates the client, under any vendor's name.
fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "x-api-key" | "api-key" | "x-goog-api-key")
}

/// Returns whether a response header is forwarded, rate limits included. Cookies, policies for browsers and alternative services
/// are the upstream's own, and organizations are the operator's.
fn is_response_header(name: &str) -> bool {
    matches!(
        name,
        "content-type"
            | "content-length"
            | "content-encoding"
            | "content-disposition"
            | "content-language"
            | "cache-control"
            | "etag"
            | "date"
            | "retry-after"
            | "retry-after-ms"
            | "request-id"
            | "x-request-id"
            | "x-should-retry"
            | "openai-processing-ms"
    ) || match name.as_bytes().first() {
        Some(b'x') => name.starts_with("x-ratelimit-"),
        Some(b'a') => name.starts_with("anthropic-ratelimit-"),
        Some(b'r') => name.starts_with("ratelimit-"),
        _ => false,
    }
}

/// Returns the client's headers that are forwarded to an upstream. The body is JSON, whatever the client calls it.
pub(super) fn request_headers(headers: &HeaderMap, credentials: Credentials) -> HeaderMap {
    let is_forwarded =
        |name: &str| is_request_header(name) || (credentials == Credentials::Upstream && is_credential(name));
    let mut kept = end_to_end(headers, is_forwarded);
    kept.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A compressed response could not be parsed for its end and usage.
    kept.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    kept
}

/// Returns an upstream's headers that are forwarded to the client.
pub(super) fn response_headers(headers: &HeaderMap) -> HeaderMap {
    // A transfer coding overrides `content-length` (RFC 9112, 6.3), which may be wrong.
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    end_to_end(headers, |name| is_response_header(name) && !(is_coded && name == header::CONTENT_LENGTH.as_str()))
}

/// Returns the headers that `is_forwarded`, without those that a `connection` header lists (RFC 9110, 7.6.1).
fn end_to_end(headers: &HeaderMap, is_forwarded: impl Fn(&str) -> bool) -> HeaderMap {
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
        if is_forwarded(written) && !listed.iter().any(|listed| written.eq_ignore_ascii_case(listed)) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn tracing_and_idempotency_headers_are_forwarded_and_hop_by_hop_headers_are_not() {
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
            Credentials::Gateway,
        );
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "content-type", "idempotency-key", "openai-organization", "traceparent"]);
        assert_eq!(sent["accept-encoding"], "identity");
    }

    #[test]
    fn a_content_length_beside_a_transfer_coding_is_dropped() {
        let kept =
            response_headers(&headers(&[("content-length", "2"), ("transfer-encoding", "chunked"), ("etag", "e")]));
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn repeated_headers_stay_repeated() {
        let kept = response_headers(&headers(&[("x-ratelimit-x", "1"), ("x-ratelimit-x", "2"), ("retry-after", "7")]));
        assert_eq!(kept.get_all("x-ratelimit-x").iter().count(), 2);
        assert_eq!(kept["retry-after"], "7");
    }

    #[test]
    fn what_browsers_and_upstreams_say_about_themselves_stays_here() {
        let page =
            [("origin", "o"), ("referer", "r"), ("sec-fetch-site", "same-origin"), ("cookie", "c"), ("x-own", "1")];
        let names = |kept: HeaderMap| kept.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(request_headers(&headers(&page), Credentials::Upstream)), ["content-type", "accept-encoding"]);
        let upstream = [
            ("set-cookie", "a"),
            ("strict-transport-security", "m"),
            ("alt-svc", "h3"),
            ("access-control-allow-origin", "*"),
            ("openai-organization", "o"),
            ("location", "l"),
        ];
        assert_eq!(names(response_headers(&headers(&upstream))), Vec::<String>::new());
    }

    #[test]
    fn credentials_travel_only_to_an_upstream_they_are_for() {
        for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            let sent = headers(&[(name, "k")]);
            assert!(request_headers(&sent, Credentials::Upstream).contains_key(name), "{name}");
            assert!(!request_headers(&sent, Credentials::Gateway).contains_key(name), "{name}");
        }
    }
}
