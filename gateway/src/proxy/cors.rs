//! CORS: lets pages of the configured origins call, and read what the gateway says about its decision.
//!
//! It only adds headers and answers preflight requests. Which requests are served is decided elsewhere: without API keys, only
//! those of pages on this machine (`super::host_check`).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use crate::{
    api::overrides::PREFIX,
    config::{Cors, cors::Origins},
    upstream::{Body, body},
};

/// The methods of the paths that are served.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");

/// Response headers that pages may read beside the gateway's own.
const READABLE: [&str; 5] = ["retry-after", "retry-after-ms", "request-id", "x-request-id", "x-should-retry"];

/// Prefixes of further ones: rate limits.
const READABLE_PREFIXES: [&str; 4] = [PREFIX, "x-ratelimit-", "anthropic-ratelimit-", "ratelimit-"];

/// Returns the response to a preflight request from a page that may call; none for any other request.
pub(super) fn preflight(cors: &Cors, parts: &Parts) -> Option<Response<Body>> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let origin = allowed_origin(cors, &parts.headers)?;
    let mut response = Response::new(body::full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(cors, origin, headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    // Client libraries send headers of their own, and no header gives a page more rights than its key.
    if let Some(requested) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.as_secs()));
    for name in [header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
        headers.append(header::VARY, HeaderValue::from(name));
    }
    Some(response)
}

/// Adds the headers by which a page may read the response with `headers` to the request with `sent`.
pub(super) fn expose(cors: &Cors, sent: &HeaderMap, headers: &mut HeaderMap) {
    let Some(origin) = allowed_origin(cors, sent) else {
        // A cache must not give this response to a page that may call.
        return vary(cors, headers);
    };
    let is_readable = |name: &&HeaderName| {
        let name = name.as_str();
        READABLE.contains(&name) || READABLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let readable: Vec<&str> = headers.keys().filter(is_readable).map(HeaderName::as_str).collect();
    if let Ok(readable) = HeaderValue::from_str(&readable.join(", "))
        && !readable.is_empty()
    {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    }
    allow(cors, origin, headers);
}

/// Returns the request's origin if its pages may call. A request with several origins is no browser's.
fn allowed_origin<'h>(cors: &Cors, sent: &'h HeaderMap) -> Option<&'h HeaderValue> {
    let mut origins = sent.get_all(header::ORIGIN).iter();
    let origin = origins.next()?;
    let is_allowed = origins.next().is_none() && origin.to_str().is_ok_and(|origin| cors.allows(origin));
    is_allowed.then_some(origin)
}

fn allow(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    let named = match cors.origins {
        Origins::Any => HeaderValue::from_static("*"),
        Origins::Listed(_) => origin.clone(),
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, named);
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    vary(cors, headers);
}

/// Says that responses differ between origins, if they do.
fn vary(cors: &Cors, headers: &mut HeaderMap) {
    if matches!(cors.origins, Origins::Listed(_)) {
        headers.append(header::VARY, HeaderValue::from(header::ORIGIN));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn listed() -> Cors {
        let origins = Origins::Listed(vec!["https://app.example".to_owned()]);
        Cors { origins, credentials: true, max_age: Duration::from_secs(60) }
    }

    fn request(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/v1/chat/completions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn exposed(cors: &Cors, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-personaroute-model", HeaderValue::from_static("m"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        expose(cors, &request(Method::POST, &[("origin", origin)]).headers, &mut headers);
        headers
    }

    #[test]
    fn a_preflight_of_an_allowed_page_is_answered_and_others_are_not() {
        let asked = |origin: &str| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "authorization,x-personaroute-user"),
            ];
            preflight(&listed(), &request(Method::OPTIONS, &headers))
        };
        let response = asked("https://app.example").unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(header("access-control-allow-origin"), "https://app.example");
        assert_eq!(header("access-control-allow-headers"), "authorization,x-personaroute-user");
        assert_eq!(header("access-control-max-age"), "60");
        assert!(header("access-control-allow-methods").contains("POST"));
        assert!(response.headers().get_all("vary").iter().any(|name| name == "origin"));
        assert!(asked("https://evil.example").is_none());
        let plain = request(Method::OPTIONS, &[("origin", "https://app.example")]);
        assert!(preflight(&listed(), &plain).is_none(), "without a requested method");
    }

    #[test]
    fn a_page_reads_the_gateways_headers_only_if_it_may_call() {
        let headers = exposed(&listed(), "https://app.example");
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], "x-personaroute-model");
        assert_eq!(headers["vary"], "origin");
        let other = exposed(&listed(), "https://evil.example");
        assert!(!other.contains_key("access-control-allow-origin"));
        assert_eq!(other["vary"], "origin");
    }

    #[test]
    fn any_origin_is_named_as_such() {
        let any = Cors { origins: Origins::Any, credentials: false, max_age: Duration::ZERO };
        let headers = exposed(&any, "https://app.example");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert!(!headers.contains_key("access-control-allow-credentials") && !headers.contains_key("vary"));
    }
}
