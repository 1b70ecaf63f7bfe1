//! The body of every response, wherever it comes from.

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

    /// Returns the same body for an answer that must have reached its client at `deadline`.
    #[must_use]
    pub fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Returns when it must have reached its client; none sets no end.
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
