//! Without API keys, refuses requests that a browser on this machine sends for pages of other sites.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Uri, header, request::Parts, uri::Authority};

use super::Error;
use crate::config::Auth;

/// Refuses requests to another host than this machine (DNS rebinding) and requests from pages of other hosts. With API keys
/// it allows every host, as no page knows a key.
pub(super) fn check(auth: &Auth, parts: &Parts) -> Result<(), Error> {
    if auth.keys.is_some() {
        return Ok(());
    }
    if !targets_loopback(&parts.headers, &parts.uri) {
        return Err(Error::ForbiddenHost("host"));
    }
    let mut origins = parts.headers.get_all(header::ORIGIN).iter().map(text);
    if !origins.all(|origin| origin_authority(origin).is_some_and(is_loopback)) {
        return Err(Error::ForbiddenHost("origin"));
    }
    Ok(())
}

/// Returns whether a request with `headers` for `uri` names only this machine as its host, or no host.
pub fn targets_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    // HTTP/2 has the host in `:authority`. A browser always sends a host.
    let mut hosts = headers.get_all(header::HOST).iter().map(text).chain(uri.authority().map(Authority::as_str));
    hosts.all(is_loopback)
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// Returns the authority of an HTTP origin; none for `null` and for browser extensions.
fn origin_authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// Returns whether `authority` is a loopback address or `localhost`, at any port. Other names may resolve to any host.
fn is_loopback(authority: &str) -> bool {
    // The common case, without parsing.
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if (host == "127.0.0.1" || host == "localhost") && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Quota;

    fn rejected_header(keys: bool, uri: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let auth = Auth { keys: keys.then(Vec::new), user_quota: Quota::UNLIMITED };
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match check(&auth, &request.body(()).unwrap().into_parts().0) {
            Ok(()) => None,
            Err(Error::ForbiddenHost(header)) => Some(header),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn requests_to_any_loopback_name_are_served() {
        for host in ["127.0.0.1", "127.0.0.1:8080", "127.8.8.8", "localhost:1", "LocalHost", "[::1]:8080", "[::1]"] {
            assert_eq!(rejected_header(false, "/", &[("host", host)]), None, "{host}");
            assert_eq!(rejected_header(false, &format!("http://{host}/"), &[]), None, "{host}");
            assert_eq!(
                rejected_header(false, "/", &[("host", host), ("origin", &format!("http://{host}"))]),
                None,
                "{host}"
            );
        }
        assert_eq!(rejected_header(false, "/", &[]), None);
    }

    #[test]
    fn requests_to_other_hosts_and_from_pages_of_other_sites_are_refused() {
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0:80", "127.0.0.1.nip.io", "", "a b"]
        {
            assert_eq!(rejected_header(false, "/", &[("host", host)]), Some("host"), "{host}");
        }
        assert_eq!(rejected_header(false, "http://evil.example/", &[("host", "localhost")]), Some("host"));
        assert_eq!(rejected_header(false, "/", &[("host", "localhost"), ("host", "evil.example")]), Some("host"));
        for origin in
            ["https://evil.example", "null", "chrome-extension://localhost", "localhost", "http://localhost.evil"]
        {
            assert_eq!(
                rejected_header(false, "/", &[("host", "localhost"), ("origin", origin)]),
                Some("origin"),
                "{origin}"
            );
        }
    }

    #[test]
    fn with_api_keys_every_host_is_served() {
        assert_eq!(rejected_header(true, "/", &[("host", "gateway.example"), ("origin", "https://app.example")]), None);
    }
}
