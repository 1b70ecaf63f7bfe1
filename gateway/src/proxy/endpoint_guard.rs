//! An attempt at an endpoint, the guard that counts it there, and the response that it starts.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{StatusCode, response};
use hyper::body::Frame;

use crate::upstream::{Body, Endpoint, InFlight, Protocol};

/// One attempt to send a request to an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The number of the attempt, from 1; 0 before it is made.
    pub(super) number: usize,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) protocol: Protocol,
}

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

    /// Records that the response was truncated.
    pub(super) fn response_truncated(&self) {
        self.endpoint.upstream.breaker.record_stream_failure(Instant::now());
    }
}

/// A response that has started.
pub(super) struct UpstreamResponse {
    /// The status and headers.
    pub(super) head: response::Parts,
    /// The first frame, if there is one.
    pub(super) first: Option<Frame<Bytes>>,
    /// The rest of the body.
    pub(super) body: Body,
    /// The guard at its endpoint.
    pub(super) guard: EndpointGuard,
}
