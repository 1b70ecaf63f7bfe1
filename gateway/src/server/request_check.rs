//! Rejects requests that violate HTTP, or a limit that hyper enforces for HTTP/1 only.

use http::{Request, Response, StatusCode, Version, header};

use crate::upstream::{Body, body};

/// Returns the status with which `request` is rejected, if it is; `headers` is the maximum number of headers.
pub(super) fn rejection<B>(request: &Request<B>, headers: usize) -> Option<StatusCode> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let (fewest, most) = match request.version() {
        // RFC 9112, 3.2: with two hosts, two parties on the path could disagree on which one is meant.
        Version::HTTP_11 => (1, 1),
        // HTTP/2 has the host in `:authority`, and HTTP/1.0 does not require one.
        _ => (0, 1),
    };
    if hosts < fewest || hosts > most {
        return Some(StatusCode::BAD_REQUEST);
    }
    // Hyper limits the headers of HTTP/1 itself.
    let is_within = request.version() != Version::HTTP_2 || request.headers().len() <= headers;
    (!is_within).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// Returns an empty response with this status.
pub(super) fn response(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::full(""));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, hosts: usize, others: usize) -> Option<u16> {
        let mut request = Request::builder().version(version);
        for idx in 0..hosts {
            request = request.header(header::HOST, format!("host-{idx}"));
        }
        for idx in 0..others {
            request = request.header(format!("x-{idx}"), "1");
        }
        rejection(&request.body(()).unwrap(), 10).map(|status| status.as_u16())
    }

    #[test]
    fn http_1_1_needs_exactly_one_host_and_the_others_at_most_one() {
        let named = [0, 1, 2].map(|hosts| status(Version::HTTP_11, hosts, 0));
        assert_eq!(named, [Some(400), None, Some(400)]);
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!([0, 1, 2].map(|hosts| status(version, hosts, 0)), [None, None, Some(400)]);
        }
    }

    #[test]
    fn headers_are_limited_over_http_2() {
        assert_eq!(status(Version::HTTP_2, 0, 10), None);
        assert_eq!(status(Version::HTTP_2, 0, 11), Some(431));
    }
}
