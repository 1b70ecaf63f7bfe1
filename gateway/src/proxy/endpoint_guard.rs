//! A place that may answer, the guard that a request takes there, and the answer that begins.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{StatusCode, response};
use hyper::body::Frame;

use crate::upstream::{Body, Endpoint, InFlight, Protocol};

/// One place that may answer.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Which of the request's attempts it is, from 1; 0 until it is one.
    pub(super) number: usize,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) protocol: Protocol,
}

/// A request's place at an endpoint until its answer ends.
pub(super) struct EndpointGuard {
    endpoint: Arc<Endpoint>,
    in_flight: InFlight,
}

impl EndpointGuard {
    /// Takes a place at `endpoint`.
    pub(super) fn acquire(endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), in_flight: endpoint.load.start_request() }
    }

    /// Notes that the answer has begun.
    pub(super) fn response_started(&mut self) {
        self.in_flight.record_first_byte();
    }

    /// Notes that an answer with `status` ended well. Answers without success were judged when they began.
    pub(super) fn response_completed(&self, status: StatusCode) {
        if status.is_success() {
            self.endpoint.upstream.breaker.record_success();
            self.endpoint.breaker.record_success();
        }
    }

    /// Notes that the answer broke off.
    pub(super) fn response_truncated(&self) {
        self.endpoint.upstream.breaker.record_stream_failure(Instant::now());
    }
}

/// An answer that has begun.
pub(super) struct UpstreamResponse {
    /// Status and headers.
    pub(super) head: response::Parts,
    /// The first frame, when there is any.
    pub(super) first: Option<Frame<Bytes>>,
    /// The rest.
    pub(super) body: Body,
    /// The place it is answered from.
    pub(super) guard: EndpointGuard,
}
