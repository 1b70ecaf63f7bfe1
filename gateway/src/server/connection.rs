//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, with the limits of a slow or greedy client.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    active_streams::ActiveStreams,
    request_check,
    timeout_stream::TimeoutStream,
    version::{self, Version},
    write_deadline::{WriteDeadline, WriteDeadlineBody},
};
use crate::{
    config::{Limits, Timeouts},
    upstream::Body,
};

/// Most streams of one HTTP/2 connection, nginx's default; the gateway's own limit counts all connections.
const MAX_STREAMS: u32 = 128;

/// Hyper's own limit of headers, for which it keeps a place that it need not make ready for each request.
const HYPER_MAX_HEADERS: usize = 100;

/// Most bytes of an HTTP/2 stream that wait to be sent.
const SEND_BUFFER: usize = 64 << 10;

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Connections {
    http1: http1::Builder,
    head: u32,
    headers: usize,
    header_read: Duration,
    write_timeout: Duration,
}

/// How a connection comes to its end.
struct ConnectionShutdown {
    /// The requests in flight are the last.
    stop: CancellationToken,
    /// They have had their time.
    cut: CancellationToken,
    /// How long a client may take for what is sent already, and to leave.
    grace: Duration,
}

impl Connections {
    /// Returns connections with these limits.
    pub fn new(limits: &Limits, timeouts: &Timeouts) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(timeouts.header_read).max_buf_size(limits.head);
        if limits.headers != HYPER_MAX_HEADERS {
            http1.max_headers(limits.headers);
        }
        Self {
            http1,
            head: u32::try_from(limits.head).unwrap_or(u32::MAX),
            headers: limits.headers,
            header_read: timeouts.header_read,
            write_timeout: timeouts.write,
        }
    }

    /// Serves `stream` with `answer`. After `stop`, the request in flight is finished and the connection closed; after
    /// `cut` it is closed at once.
    pub async fn serve<S, F>(
        &self,
        mut stream: S,
        answer: impl Fn(Request<Incoming>) -> F,
        stop: CancellationToken,
        cut: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let known = tokio::select! {
            known = tokio::time::timeout(self.header_read, version::detect(&mut stream)) => known,
            // A client that has asked for nothing has nothing to wait for.
            () = stop.cancelled() => return,
        };
        let Ok(Ok(Some((version, first)))) = known else {
            tracing::debug!("a connection ended before it said which HTTP it speaks");
            return;
        };
        let has_request = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            has_request.store(true, Ordering::Relaxed);
            // A write over HTTP/1 that waits is `stalled`; one over HTTP/2 is not begun without a window.
            let chunk_timeout = (request.version() == http::Version::HTTP_2).then_some(self.write_timeout);
            let refused = request_check::rejection(&request, self.headers);
            let answered = refused.map_or_else(|| Ok(answer(request)), Err);
            async move {
                let response = match answered {
                    Ok(answering) => answering.await,
                    Err(refused) => request_check::response(refused),
                };
                Ok::<_, Infallible>(WriteDeadlineBody::of(response, chunk_timeout))
            }
        });
        let stream = TokioIo::new(TimeoutStream::new(stream, first, self.write_timeout));
        let shutdown = ConnectionShutdown { stop, cut, grace: self.write_timeout };
        let served = match version {
            Version::Http1 => {
                let connection = pin!(self.http1.serve_connection(stream, service));
                // Hyper's own timer ends a connection that waits for a head.
                let leave = http1::Connection::graceful_shutdown;
                let served =
                    shutdown.drive(connection, leave, std::future::pending, || has_request.load(Ordering::Relaxed));
                WriteDeadline::default().enforce(served).await.unwrap_or(Ok(()))
            }
            Version::Http2 => {
                let streams = ActiveStreams::new();
                let connection = pin!(self.http2(streams.clone()).serve_connection(stream, service));
                let idle = || streams.idle(self.header_read);
                // Without streams it leaves by itself.
                shutdown.drive(connection, http2::Connection::graceful_shutdown, idle, || true).await
            }
        };
        if let Err(error) = served {
            tracing::debug!(error = %error, "a connection ended early");
        }
    }

    fn http2(&self, streams: ActiveStreams) -> http2::Builder<ActiveStreams> {
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(self.head)
            // What waits here is not seen as being taken.
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(Some(self.header_read));
        http2
    }
}

impl ConnectionShutdown {
    /// Runs `connection`; when it is time, or it is `idle`, it may `leave`: its requests are finished. If it is `idle`
    /// then and does not leave, its client keeps it from doing so, and it is cut. One over which nobody `has_request` anything
    /// is not waited for: half a head may never become a whole one.
    async fn drive<C, Q>(
        &self,
        mut connection: Pin<&mut C>,
        leave: impl FnOnce(Pin<&mut C>),
        idle: impl Fn() -> Q,
        has_request: impl Fn() -> bool,
    ) -> hyper::Result<()>
    where
        C: Future<Output = hyper::Result<()>>,
        Q: Future<Output = ()>,
    {
        tokio::select! {
            served = connection.as_mut() => return served,
            () = self.stop.cancelled() => {}
            () = idle() => {}
        }
        leave(connection.as_mut());
        // What has come is still read.
        let served = poll_fn(|ctx| Poll::Ready(connection.as_mut().poll(ctx))).await;
        match served {
            Poll::Ready(served) => return served,
            Poll::Pending if !has_request() => return Ok(()),
            Poll::Pending => {}
        }
        let grace_expired = async {
            tokio::time::sleep(self.grace).await;
            idle().await;
        };
        tokio::select! {
            served = connection.as_mut() => served,
            () = self.cut.cancelled() => Ok(()),
            () = grace_expired => Ok(()),
        }
    }
}
