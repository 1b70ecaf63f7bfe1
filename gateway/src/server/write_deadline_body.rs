//! A response body that sets the write deadline of its task for each chunk it yields.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::{head_deadline::RequestGuard, write_deadline::WriteDeadline};
use crate::upstream::{Body, body::BodyError};

/// Most bytes of one chunk if each chunk has a timeout. A client that reads steadily reads this much within it, however
/// long the response is.
const MAX_CHUNK: usize = 16 << 10;

/// The body.
pub(super) struct WriteDeadlineBody {
    body: Body,
    /// The remainder of a chunk longer than [`MAX_CHUNK`].
    rest: Bytes,
    timeouts: WriteTimeouts,
    deadline: WriteDeadline,
    /// The request of an HTTP/1 connection, which ends with its response body.
    _request: Option<RequestGuard>,
}

/// How long a client may take to read.
#[derive(Debug, Clone, Copy)]
struct WriteTimeouts {
    /// One chunk; none if the connection's write timeout covers it.
    chunk: Option<Duration>,
    /// The whole response; none means no limit.
    end: Option<Instant>,
}

impl WriteDeadlineBody {
    /// Returns `response` with a body that sets the deadline of the current task; `chunk` is the timeout of one chunk, and
    /// `request` ends with the body.
    pub(super) fn wrap(
        response: Response<Body>,
        chunk: Option<Duration>,
        request: Option<RequestGuard>,
    ) -> Response<Self> {
        let end = response.body().deadline().map(Into::into);
        response.map(|body| Self::new(body, WriteTimeouts { chunk, end }, request))
    }

    fn new(body: Body, timeouts: WriteTimeouts, request: Option<RequestGuard>) -> Self {
        Self { body, rest: Bytes::new(), timeouts, deadline: WriteDeadline::current(), _request: request }
    }
}

impl WriteTimeouts {
    /// Returns the deadline of a chunk that is yielded now.
    fn next_deadline(self) -> Option<Instant> {
        let chunk = self.chunk.map(|chunk| Instant::now() + chunk);
        chunk.into_iter().chain(self.end).min()
    }
}

impl Drop for WriteDeadlineBody {
    fn drop(&mut self) {
        self.deadline.set(None);
    }
}

impl HttpBody for WriteDeadlineBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut next = match self.rest.is_empty() {
            true => Pin::new(&mut self.body).poll_frame(ctx),
            false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest))))),
        };
        if self.timeouts.chunk.is_some()
            && let Poll::Ready(Some(Ok(frame))) = &mut next
            && let Some(data) = frame.data_mut().filter(|data| data.len() > MAX_CHUNK)
        {
            self.rest = data.split_off(MAX_CHUNK);
        }
        let has_chunk = matches!(next, Poll::Ready(Some(Ok(_))));
        self.deadline.set(if has_chunk { self.timeouts.next_deadline() } else { None });
        next
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::upstream::body;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    fn timeouts(chunk: Option<Duration>, all: Duration) -> WriteTimeouts {
        WriteTimeouts { chunk, end: Some(Instant::now() + all) }
    }

    /// Yields one chunk, and then waits without end.
    async fn stall(timeouts: WriteTimeouts) {
        let mut body = WriteDeadlineBody::new(body::full("a chunk"), timeouts, None);
        body.frame().await.unwrap().unwrap();
        std::future::pending::<()>().await;
        drop(body);
    }

    #[tokio::test]
    async fn a_chunk_that_is_not_read_ends_the_response() {
        let deadline = WriteDeadline::default();
        assert_eq!(deadline.enforce(stall(timeouts(Some(SHORT), LONG))).await, None);
        assert_eq!(deadline.enforce(stall(timeouts(Some(LONG), SHORT))).await, None);
        assert_eq!(deadline.enforce(stall(timeouts(None, SHORT))).await, None);
        assert_eq!(deadline.get(), None, "a dropped body clears the deadline");
    }

    #[tokio::test]
    async fn a_long_chunk_is_split_if_each_chunk_has_a_timeout() {
        let text = vec![b'x'; 2 * MAX_CHUNK + 1];
        for (chunk, expected) in [(Some(LONG), vec![MAX_CHUNK, MAX_CHUNK, 1]), (None, vec![2 * MAX_CHUNK + 1])] {
            let mut body = WriteDeadlineBody::new(body::full(text.clone()), timeouts(chunk, LONG), None);
            let mut lengths = Vec::new();
            while let Some(frame) = body.frame().await {
                lengths.push(frame.unwrap().into_data().unwrap().len());
                let left = (text.len() - lengths.iter().sum::<usize>()) as u64;
                assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left), left == 0));
            }
            assert_eq!(lengths, expected);
        }
    }

    #[tokio::test]
    async fn the_deadline_does_not_run_while_the_upstream_is_silent() {
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let late = http_body_util::StreamBody::new(futures_util::stream::once(async {
            let _ = receive.await;
            Ok(Frame::data(Bytes::from_static(b"late")))
        }));
        let deadline = WriteDeadline::default();
        let serving = async {
            let body = WriteDeadlineBody::new(Body::new(late), timeouts(Some(SHORT), SHORT), None);
            body.collect().await.unwrap().to_bytes()
        };
        let sending = async {
            // Longer than a chunk, or the whole response, may take.
            tokio::time::sleep_until(Instant::now() + 2 * SHORT).await;
            send.send(()).unwrap();
        };
        let (read, ()) = tokio::join!(deadline.enforce(serving), sending);
        assert_eq!(read.unwrap(), "late");
    }
}
