//! Passive health checks: reports the responses and failures of requests to the load and the circuit breakers.

use std::time::{Duration, Instant, SystemTime};

use http::response;

use super::{
    failure_table::{Health, Scope, scope},
    retry,
};
use crate::upstream::{Endpoint, Failure};

/// Reports a response to the load and the circuit breakers. It shows that the upstream works, whatever its status; `health` is
/// what it says about the endpoint.
pub(super) fn record_response(
    endpoint: &Endpoint,
    head: &response::Parts,
    health: Health,
    first_byte: Duration,
    now: Instant,
) {
    endpoint.load.observe(first_byte.as_secs_f64(), now);
    endpoint.upstream.breaker.record_response_start();
    let asked = || retry::retry_after(&head.headers, SystemTime::now());
    match health {
        Health::Healthy => endpoint.breaker.record_response_start(),
        Health::Unknown => endpoint.breaker.release_trial(),
        Health::Failed => match asked() {
            Some(wait) => endpoint.breaker.open_for(now, wait),
            None => endpoint.breaker.record_failure(now),
        },
        Health::Rests(wait) => endpoint.breaker.open_for(now, asked().unwrap_or(wait)),
    }
}

/// Reports a failure: of the connection to the breaker of the upstream, of the response to that of the endpoint.
pub(super) fn record_failure(endpoint: &Endpoint, failure: &Failure) {
    match scope(failure) {
        Scope::Upstream => endpoint.upstream.breaker.record_failure(Instant::now()),
        Scope::Endpoint => endpoint.breaker.record_failure(Instant::now()),
        Scope::Nobody => {}
    }
}
