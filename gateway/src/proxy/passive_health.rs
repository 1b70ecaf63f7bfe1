//! Passive health checks: reports the responses and failures of requests to the load and the circuit breakers.

use std::time::{Duration, Instant, SystemTime};

use http::response;

use super::retry;
use crate::upstream::{Endpoint, Failure};

/// Reports a response to the load and the circuit breakers: `retry-after` opens the circuit of the endpoint, a server error
/// counts as a failure of the upstream, and other responses count as successes.
pub(super) fn record_response(endpoint: &Endpoint, head: &response::Parts, first_byte: Duration, now: Instant) {
    endpoint.load.observe(first_byte.as_secs_f64(), now);
    let is_overloaded = matches!(head.status.as_u16(), 429 | 503 | 529);
    let cooldown = is_overloaded.then(|| retry::retry_after(&head.headers, SystemTime::now())).flatten();
    match cooldown {
        Some(wait) => endpoint.breaker.open_for(now, wait),
        _ if head.status.is_server_error() => endpoint.upstream.breaker.record_failure(now),
        _ if head.status.is_success() => {
            endpoint.upstream.breaker.record_response_start();
            endpoint.breaker.record_response_start();
        }
        _ => {
            endpoint.upstream.breaker.record_success();
            if !is_overloaded {
                endpoint.breaker.record_success();
            }
        }
    }
}

/// Reports a failure to the circuit breaker of the upstream, unless the upstream did not cause it.
pub(super) fn record_failure(endpoint: &Endpoint, failure: &Failure) {
    match failure {
        Failure::Connect(_) | Failure::Closed(_) | Failure::FirstByte | Failure::Unreadable => {
            endpoint.upstream.breaker.record_failure(Instant::now());
        }
        Failure::Unsupported | Failure::Request(_) => {}
    }
}
