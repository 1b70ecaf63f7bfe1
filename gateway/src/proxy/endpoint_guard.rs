//! The guard that counts a request at an endpoint and reports its outcome there.

use std::{sync::Arc, time::Instant};

use http::StatusCode;

use crate::upstream::{Endpoint, InFlight};

/// Counts a request at an endpoint until its response ends, and reports the outcome to the circuit breakers.
pub(super) struct EndpointGuard {
    endpoint: Arc<Endpoint>,
    in_flight: InFlight,
}

impl EndpointGuard {
    /// Counts a request at `endpoint`.
    pub(super) fn acquire(endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), in_flight: endpoint.load.start_request() }
    }

    /// Returns the endpoint.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Records that the response started.
    pub(super) fn response_started(&mut self) {
        self.in_flight.record_first_byte();
    }

    /// Records that a response with `status` completed. Error responses were recorded when they started.
    pub(super) fn response_completed(&self, status: StatusCode) {
        if status.is_success() {
            self.endpoint.upstream.breaker.record_success();
            self.endpoint.breaker.record_success();
        }
    }

    /// Records that the response was truncated, which speaks about this LLM at this upstream.
    pub(super) fn response_truncated(&self) {
        self.endpoint.breaker.record_stream_failure(Instant::now());
    }
}
