//! Selects the headers that are forwarded, in both directions.

use http::{HeaderMap, HeaderValue, header};

use crate::api::overrides::PREFIX;

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

/// Returns the client's headers that are forwarded to an upstream.
pub(super) fn request_headers(headers: &HeaderMap, credentials: Credentials) -> HeaderMap {
    let are_for_gateway = credentials == Credentials::Gateway;
    let mut kept = end_to_end(headers, |name| is_replaced(name) || (are_for_gateway && is_credential(name)));
    kept.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    kept
}

/// Hop-by-hop headers (RFC 9110, 7.6.1).
fn is_hop_by_hop(name: &str) -> bool {
    // `proxy-connection` was never standardised, but some clients send it to proxies.
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

/// Request headers that the gateway sets itself or drops: the body may change length, cookies belong to the gateway's
/// origin, and compressed responses could not be parsed for their end and usage.
fn is_replaced(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "cookie" | "expect" | "accept-encoding")
}

/// Request headers that authenticate the client.
fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "x-api-key")
}

/// Returns an upstream's headers that are forwarded to the client.
pub(super) fn response_headers(headers: &HeaderMap) -> HeaderMap {
    // A transfer coding overrides `content-length` (RFC 9112, 6.3), which may be wrong.
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    end_to_end(headers, |name| is_coded && name == header::CONTENT_LENGTH.as_str())
}

/// Returns the end-to-end headers, without those that `is_excluded`.
fn end_to_end(headers: &HeaderMap, is_excluded: impl Fn(&str) -> bool) -> HeaderMap {
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
        let ends_here = is_excluded(written)
            || is_hop_by_hop(written)
            || written.starts_with(PREFIX)
            || listed.iter().any(|listed| written.eq_ignore_ascii_case(listed));
        if !ends_here {
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
        assert_eq!(names, ["accept-encoding", "idempotency-key", "openai-organization", "traceparent"]);
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
        let kept = response_headers(&headers(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("retry-after", "7")]));
        assert_eq!(kept.get_all("set-cookie").iter().count(), 2);
        assert_eq!(kept["retry-after"], "7");
    }
}
