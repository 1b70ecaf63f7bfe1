//! One attempt to get a response from an endpoint, and its result.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::response;
use hyper::body::Frame;

use super::endpoint_guard::EndpointGuard;
use crate::upstream::{Body, Endpoint, Failure, Protocol};

/// One attempt to send a request to an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The number of the attempt, from 1; 0 before it is made.
    pub(super) number: usize,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) protocol: Protocol,
}

/// The result of an attempt: the start of a response, or a failure.
pub(super) struct AttemptResult<'a> {
    pub(super) attempt: Attempt<'a>,
    pub(super) started: Instant,
    pub(super) result: Result<UpstreamResponse, Failure>,
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
