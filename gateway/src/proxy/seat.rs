//! A place that may answer, the seat that a request takes there, and the answer that begins.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{StatusCode, response};
use hyper::body::Frame;

use crate::upstream::{Body, Endpoint, InFlight, Way};

/// One place that may answer.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Which of the request's attempts it is, from 1; 0 until it is one.
    pub(super) attempt: usize,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) way: Way,
}

/// A request's place at an endpoint until its answer ends.
pub(super) struct Seat {
    endpoint: Arc<Endpoint>,
    in_flight: InFlight,
}

impl Seat {
    /// Takes a place at `endpoint`.
    pub(super) fn take(endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), in_flight: endpoint.load.begin() }
    }

    /// Notes that the answer has begun.
    pub(super) fn began(&mut self) {
        self.in_flight.began();
    }

    /// Notes that an answer with `status` ended well. Answers without success were judged when they began.
    pub(super) fn ended(&self, status: StatusCode) {
        if status.is_success() {
            self.endpoint.peer.breaker.succeeded();
            self.endpoint.breaker.succeeded();
        }
    }

    /// Notes that the answer broke off.
    pub(super) fn broke(&self) {
        self.endpoint.peer.breaker.broke(Instant::now());
    }
}

/// An answer that has begun.
pub(super) struct Opened {
    /// Status and headers.
    pub(super) head: response::Parts,
    /// The first frame, when there is any.
    pub(super) first: Option<Frame<Bytes>>,
    /// The rest.
    pub(super) body: Body,
    /// The place it is answered from.
    pub(super) seat: Seat,
}
