//! The type of every response body.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// An error while a body is read.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body.
#[derive(Debug)]
pub struct Body {
    inner: UnsyncBoxBody<Bytes, BodyError>,
    deadline: Option<Instant>,
}

impl Body {
    /// Returns `inner` as a body.
    pub fn new(inner: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self { inner: inner.boxed_unsync(), deadline: None }
    }

    /// Returns the same body, which must be written to the client by `deadline`.
    #[must_use]
    pub fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Returns when the body must have been written to the client; none means no deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.inner).poll_frame(ctx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Returns `text` as a body.
pub fn full(text: impl Into<Bytes>) -> Body {
    Body::new(Full::new(text.into()).map_err(|never| match never {}))
}
