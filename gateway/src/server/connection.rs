//! Serves one connection, HTTP/1.1 or HTTP/2, with the limits for slow and greedy clients.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

use super::{
    active_streams::ActiveStreams,
    head_deadline::{HeadDeadline, RequestCount},
    request_check,
    request_stream::RequestStream,
    unread_body::{ReturnedBody, UnreadBody},
    version::{self, Version},
    write_deadline::WriteDeadline,
    write_deadline_body::WriteDeadlineBody,
};
use crate::{
    config::{Limits, Timeouts},
    upstream::Body,
};

/// Most concurrent streams of one HTTP/2 connection (nginx's default). `limits.requests` covers all connections.
const MAX_STREAMS: u32 = 128;

/// Hyper's default limit of headers, for which hyper has a preallocated buffer; any other limit allocates per request.
const HYPER_MAX_HEADERS: usize = 100;

/// Most buffered bytes of an HTTP/2 stream.
const SEND_BUFFER: usize = 64 << 10;

/// The settings with which connections are served.
#[derive(Debug, Clone)]
pub struct Connections {
    http1: http1::Builder,
    head: u32,
    headers: usize,
    header_read: Duration,
    keep_alive: Duration,
    write_timeout: Duration,
    /// Most bytes that are read and discarded after a refusal, and the time for it.
    discard: (usize, Duration),
}

/// The two phases in which a connection shuts down.
struct ConnectionShutdown {
    /// Requests in flight finish; no new ones are accepted.
    stop: CancellationToken,
    /// The connection closes at once.
    cut: CancellationToken,
    /// How long an idle client may keep the connection open after `stop`.
    grace: Duration,
}

impl Connections {
    /// Returns settings with these limits.
    pub fn new(limits: &Limits, timeouts: &Timeouts) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(timeouts.keep_alive).max_buf_size(limits.head);
        if limits.headers != HYPER_MAX_HEADERS {
            http1.max_headers(limits.headers);
        }
        Self {
            http1,
            head: u32::try_from(limits.head).unwrap_or(u32::MAX),
            headers: limits.headers,
            header_read: timeouts.header_read,
            keep_alive: timeouts.keep_alive,
            write_timeout: timeouts.write,
            discard: (limits.body.saturating_mul(2), timeouts.body_read),
        }
    }

    /// Serves the requests on `stream` with `answer`. After `stop`, requests in flight finish and the connection closes;
    /// after `cut` it closes at once.
    pub async fn serve<S, F>(
        &self,
        mut stream: S,
        answer: impl Fn(Request<ReturnedBody>) -> F,
        stop: CancellationToken,
        cut: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let known = tokio::select! {
            known = tokio::time::timeout(self.header_read, version::detect(&mut stream)) => known,
            // No request is in flight yet.
            () = stop.cancelled() => return,
        };
        let Ok(Ok(Some((version, first)))) = known else {
            tracing::debug!("a connection closed before its HTTP version was known");
            return;
        };
        let has_request = AtomicBool::new(false);
        let (requests, unread_body) = (RequestCount::default(), UnreadBody::default());
        let service = service_fn(|request: Request<Incoming>| {
            has_request.store(true, Ordering::Relaxed);
            // Over HTTP/1, the write timeout of the connection limits a blocked write. Over HTTP/2, a closed window prevents
            // the write itself.
            let is_http2 = request.version() == http::Version::HTTP_2;
            // The streams of HTTP/2 overlap, and have no heads to time.
            let guard = (!is_http2).then(|| requests.start());
            let chunk_timeout = is_http2.then_some(self.write_timeout);
            // A client that waits for `100 Continue` sends no body after a refusal; HTTP/2 resets the stream alone.
            let reads_on = !is_http2 && !request.headers().contains_key(header::EXPECT);
            let unread = reads_on.then(|| unread_body.clone());
            let refused = request_check::rejection(&request, self.headers);
            let request = request.map(|body| match &unread {
                Some(unread) => unread.watch(body),
                None => ReturnedBody::unwatched(body),
            });
            let answered = match refused {
                None => Ok(answer(request)),
                Some(refused) => Err(refused),
            };
            let discard = self.discard;
            async move {
                let response = respond(answered, unread, discard).await;
                Ok::<_, Infallible>(WriteDeadlineBody::wrap(response, chunk_timeout, guard))
            }
        });
        let deadline = HeadDeadline::new(requests.clone(), self.header_read);
        let stream = RequestStream::new(first, stream, deadline);
        let stream = TokioIo::new(with_write_timeout(stream, self.write_timeout));
        let shutdown = ConnectionShutdown { stop, cut, grace: self.write_timeout };
        let served = match version {
            Version::Http1 => {
                let connection = pin!(self.http1.serve_connection(stream, service));
                // Hyper's own timer closes a connection that waits for a request head.
                let shut_down = http1::Connection::graceful_shutdown;
                let served =
                    shutdown.drive(connection, shut_down, std::future::pending, || has_request.load(Ordering::Relaxed));
                WriteDeadline::default().enforce(served).await.unwrap_or(Ok(()))
            }
            Version::Http2 => {
                // Frames are no request heads; pings find a client that is gone.
                let _connection = requests.start();
                let streams = ActiveStreams::new();
                let connection = pin!(self.http2(streams.clone()).serve_connection(stream, service));
                let idle = || streams.idle(self.keep_alive);
                // Without streams, the connection closes by itself.
                shutdown.drive(connection, http2::Connection::graceful_shutdown, idle, || true).await
            }
        };
        if let Err(error) = served {
            tracing::debug!(error = %error, "a connection failed");
        }
    }

    fn http2(&self, streams: ActiveStreams) -> http2::Builder<ActiveStreams> {
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(self.head)
            // The write deadline does not cover bytes in this buffer.
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(Some(self.header_read));
        http2
    }
}

/// Returns the response, or the one to a request that was refused. After a refusal, what the client still sends is read as far
/// as `discard` allows.
async fn respond<F>(
    answered: Result<F, StatusCode>,
    unread: Option<UnreadBody>,
    discard: (usize, Duration),
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let response = match answered {
        Ok(answering) => answering.await,
        Err(refused) => request_check::response(refused),
    };
    let (most, time) = discard;
    match unread {
        Some(unread) if response.status().is_client_error() => unread.discard(most, time).await,
        Some(unread) => unread.release(),
        None => {}
    }
    response
}

/// Returns `stream` with a timeout of blocked writes. A client that stops reading is disconnected, and the upstream call of its
/// request is cancelled.
fn with_write_timeout<S: AsyncRead + AsyncWrite>(stream: S, timeout: Duration) -> Pin<Box<TimeoutWriter<S>>> {
    let mut stream = Box::pin(TimeoutWriter::new(stream));
    stream.as_mut().set_timeout_pinned(Some(timeout));
    stream
}

impl ConnectionShutdown {
    /// Runs `connection`. After `stop`, or once it is `idle`, it shuts down gracefully by `shut_down`: its requests finish.
    /// If it is still open and `idle` after the grace period, its client blocks the shutdown, and the connection is dropped.
    /// A connection without any request is dropped at once, as half a request head may never be completed.
    async fn drive<C, Q>(
        &self,
        mut connection: Pin<&mut C>,
        shut_down: impl FnOnce(Pin<&mut C>),
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
        shut_down(connection.as_mut());
        // Process the bytes that have already arrived.
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
