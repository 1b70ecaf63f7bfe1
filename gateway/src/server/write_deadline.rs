//! Whether the client takes its answer: a chunk that waits too long ends the answer, though nobody asks its body for more.
//!
//! A client of HTTP/2 takes nothing by opening no window: nothing is written then, so that no write waits, and no body is
//! polled. One of HTTP/1 takes little by little what was written long ago. Whoever serves the answer is ended from outside.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::upstream::{Body, body::BodyError};

tokio::task_local! {
    /// What the answer waits for that is being served.
    static WRITE_DEADLINE: WriteDeadline;
}

/// When the chunk that is on its way to the client must be taken; none while none is.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteDeadline(Arc<Mutex<Option<Instant>>>);

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
struct WriteTimeouts {
    /// For one chunk; none leaves that to whoever writes.
    chunk: Option<Duration>,
    /// For all of the answer; none sets no end.
    end: Option<Instant>,
}

/// Most bytes that are given at a time where each chunk must be taken in time: however long an answer is, a client that
/// reads steadily has taken this much.
const MAX_CHUNK: usize = 16 << 10;

/// A body that tells when it has given a chunk.
pub(super) struct WriteDeadlineBody {
    body: Body,
    /// What is left of a long chunk.
    rest: Bytes,
    timeouts: WriteTimeouts,
    deadline: WriteDeadline,
}

impl WriteDeadline {
    /// Runs `serving`, whose answers are [`WriteDeadlineBody`]; returns none when its client does not take one in time.
    ///
    /// No timer is set for a chunk that is taken at once, and none is set anew for each.
    pub(super) async fn enforce<F: Future>(&self, serving: F) -> Option<F::Output> {
        let mut serving = pin!(serving);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let enforced = poll_fn(|ctx| {
            if let Poll::Ready(served) = serving.as_mut().poll(ctx) {
                return Poll::Ready(Some(served));
            }
            while let Some(due) = self.due() {
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                if timer.as_mut().poll(ctx).is_pending() {
                    return Poll::Pending;
                }
                if Instant::now() >= due {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        });
        WRITE_DEADLINE.scope(self.clone(), enforced).await
    }

    fn due(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, due: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }
}

impl WriteDeadlineBody {
    /// Returns `response` for whoever serves it here; `chunk` is the most that the client may take for one chunk.
    pub(super) fn of(response: Response<Body>, chunk: Option<Duration>) -> Response<Self> {
        let end = response.body().deadline().map(Into::into);
        response.map(|body| Self::new(body, WriteTimeouts { chunk, end }))
    }

    fn new(body: Body, timeouts: WriteTimeouts) -> Self {
        Self { body, rest: Bytes::new(), timeouts, deadline: WRITE_DEADLINE.try_with(Clone::clone).unwrap_or_default() }
    }
}

impl WriteTimeouts {
    /// Returns when a chunk must be taken that is given now.
    fn due(self) -> Option<Instant> {
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
        self.deadline.set(if has_chunk { self.timeouts.due() } else { None });
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

    /// Takes one chunk, and then waits for what does not come.
    async fn stall(timeouts: WriteTimeouts) {
        let mut taken = WriteDeadlineBody::new(body::full("a chunk"), timeouts);
        taken.frame().await.unwrap().unwrap();
        std::future::pending::<()>().await;
        drop(taken);
    }

    #[tokio::test]
    async fn a_piece_that_is_not_taken_ends_the_answer() {
        let deadline = WriteDeadline::default();
        assert_eq!(deadline.enforce(stall(timeouts(Some(SHORT), LONG))).await, None);
        assert_eq!(deadline.enforce(stall(timeouts(Some(LONG), SHORT))).await, None);
        assert_eq!(deadline.enforce(stall(timeouts(None, SHORT))).await, None);
        assert_eq!(deadline.due(), None, "what is dropped waits for nothing");
    }

    #[tokio::test]
    async fn a_long_piece_is_given_slice_by_slice_where_each_must_be_taken() {
        let text = vec![b'x'; 2 * MAX_CHUNK + 1];
        for (chunk, expected) in [(Some(LONG), vec![MAX_CHUNK, MAX_CHUNK, 1]), (None, vec![2 * MAX_CHUNK + 1])] {
            let mut taken = WriteDeadlineBody::new(body::full(text.clone()), timeouts(chunk, LONG));
            let mut given = Vec::new();
            while let Some(frame) = taken.frame().await {
                given.push(frame.unwrap().into_data().unwrap().len());
                let left = (text.len() - given.iter().sum::<usize>()) as u64;
                assert_eq!((taken.size_hint().exact(), taken.is_end_stream()), (Some(left), left == 0));
            }
            assert_eq!(given, expected);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_may_last_however_long_the_upstream_is_silent() {
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let late = http_body_util::StreamBody::new(futures_util::stream::once(async {
            let _ = receive.await;
            Ok(Frame::data(Bytes::from_static(b"late")))
        }));
        let deadline = WriteDeadline::default();
        let serving = async {
            let taken = WriteDeadlineBody::new(Body::new(late), timeouts(Some(SHORT), SHORT));
            taken.collect().await.unwrap().to_bytes()
        };
        let sending = async {
            tokio::time::sleep(2 * SHORT).await;
            send.send(()).unwrap();
        };
        let (taken, ()) = tokio::join!(deadline.enforce(serving), sending);
        assert_eq!(taken.unwrap(), "late");
    }
}
