//! An HTTP/1.1 connection, driven by the request that uses it, and the response body that returns it to the pool.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Id, task::coop::unconstrained};

use super::{ConnectionPool, SendError};
use crate::upstream::{
    Body,
    body::BodyError,
    connector::Opened,
    socket::{CloseCheck, UpstreamStream},
};

/// A connection that was used more recently is not checked for a close: the event loop has just looked at it.
pub(super) const RECENT: Duration = Duration::from_millis(1);

/// One connection.
pub(super) struct Http1 {
    pub(super) runtime: Id,
    sender: SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<UpstreamStream>, Full<Bytes>>,
    check: CloseCheck,
    used: Instant,
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("runtime", &self.runtime).field("used", &self.used).finish_non_exhaustive()
    }
}

impl Http1 {
    /// Returns the connection over a stream that was opened on `runtime`.
    pub(super) async fn open(opened: Opened, runtime: Id) -> Result<Box<Self>, BodyError> {
        let (sender, connection) = http1::handshake(TokioIo::new(opened.stream)).await?;
        Ok(Box::new(Self { runtime, sender, connection, check: opened.check, used: Instant::now() }))
    }

    /// Returns whether the connection has been idle for longer than `timeout`.
    pub(super) fn is_expired(&self, now: Instant, timeout: Duration) -> bool {
        now.saturating_duration_since(self.used) > timeout
    }

    /// Returns whether the connection is open at `now`, as far as this machine knows.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        let is_recent = now.saturating_duration_since(self.used) < RECENT;
        self.check.set(!is_recent);
        let is_open = self.poll_idle().is_pending();
        self.check.set(false);
        is_open
    }

    /// Sends `request` and waits for the head of the response, whose body returns the connection to `pool`.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: Request<Full<Bytes>>,
        pool: &ConnectionPool,
    ) -> Result<Response<Body>, SendError> {
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let mut connection = Some(self);
        let answered = poll_fn(|ctx| {
            poll_connection(&mut connection, ctx);
            // Only the connection produces the response, so no waker is needed for it.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending if connection.is_none() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match answered.await {
            Some(Ok(response)) => {
                let body = |incoming| PooledBody { incoming: Some(incoming), connection, pool: pool.clone() };
                Ok(response.map(|incoming| Body::new(body(incoming))))
            }
            Some(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err(SendError { error: error.into_error().into(), unsent })
            }
            None => Err(SendError { error: "the connection ended".into(), unsent: None }),
        }
    }

    /// Reads and writes what is left, without being woken for more; ready when the connection is closed.
    fn poll_idle(&mut self) -> Poll<()> {
        let mut connection = pin!(unconstrained(&mut self.connection));
        connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(|_ended| ())
    }

    /// Returns whether the connection can carry another request.
    fn is_reusable(&mut self) -> bool {
        self.poll_idle().is_pending() && self.sender.is_ready()
    }
}

/// Reads and writes as far as possible; a connection that ends is dropped.
fn poll_connection(connection: &mut Option<Box<Http1>>, ctx: &mut Context<'_>) {
    let ended = connection.as_mut().is_some_and(|connection| Pin::new(&mut connection.connection).poll(ctx).is_ready());
    if ended {
        *connection = None;
    }
}

/// The body of a response, with the connection that it comes from.
struct PooledBody {
    incoming: Option<Incoming>,
    connection: Option<Box<Http1>>,
    pool: ConnectionPool,
}

impl PooledBody {
    /// Ends the body, whether or not it was read to its end. A connection with nothing left to read is kept.
    fn release(&mut self) {
        self.incoming = None;
        if let Some(mut connection) = self.connection.take()
            && connection.is_reusable()
        {
            connection.used = Instant::now();
            self.pool.checkin(connection);
        }
    }

    fn next(&mut self, ctx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let mut noop = Context::from_waker(Waker::noop());
        // What has been read already comes first; asking for more makes the connection read.
        if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(&mut noop) {
            return Poll::Ready(frame);
        }
        poll_connection(&mut self.connection, ctx);
        Pin::new(incoming).poll_frame(&mut noop)
    }
}

impl HttpBody for PooledBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match self.next(ctx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.connection.is_some() => return Poll::Pending,
            Poll::Pending => return Poll::Ready(Some(Err("the connection ended".into()))),
        };
        if !matches!(frame, Some(Ok(_))) || self.is_end_stream() {
            self.release();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        self.release();
    }
}
