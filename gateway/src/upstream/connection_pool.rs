//! Pools connections over plain TCP, each driven by the request that uses it.
//!
//! A connection with a task of its own, as pooling clients have them, costs two wake-ups for each direction of each call.
//! Here the request's own task reads and writes: a call is a few system calls and nothing else. Where the request ends
//! early, its connection goes with it, which cancels the call.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri::Authority};
use http_body_util::Full;
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    client::conn::http1::{self, Connection as HttpConnection, SendRequest},
    service::Service,
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpStream, task::coop::unconstrained};

use super::{Body, Failure, body::BodyError};

thread_local! {
    /// Which reactor watches the connections that this thread opens.
    static REACTOR: Cell<usize> = const { Cell::new(0) };
}

/// Says that the connections this thread opens are of no use to threads with another `reactor`. Threads that say nothing
/// share one.
pub fn serve_on(reactor: usize) {
    REACTOR.set(reactor);
}

/// Returns the number of this thread's reactor.
pub(super) fn reactor() -> usize {
    REACTOR.get()
}

/// A way to open connections, and those that wait for a request, the one used last at the end.
#[derive(Clone)]
pub(super) struct ConnectionPool {
    connector: TowerToHyperService<HttpConnector>,
    idle: Arc<Mutex<VecDeque<Box<Connection>>>>,
    keep: Duration,
}

/// One connection.
struct Connection {
    to: Authority,
    reactor: usize,
    sender: SendRequest<Full<Bytes>>,
    connection: HttpConnection<TokioIo<TcpStream>, Full<Bytes>>,
    used: Instant,
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl ConnectionPool {
    /// Returns a pool whose connections `connector` opens and which closes those that were idle for `keep`.
    pub(super) fn new(connector: HttpConnector, keep: Duration) -> Self {
        Self { connector: TowerToHyperService::new(connector), idle: Arc::default(), keep }
    }

    /// Sends `request` to the host that its URI names.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Body>, Failure> {
        let uri = std::mem::take(request.uri_mut());
        let Some(to) = uri.authority() else {
            return Err(Failure::Connect("the URL names no host".into()));
        };
        set_origin_form(&mut request, &uri, to);
        loop {
            let waiting = self.checkout(to);
            let is_reused = waiting.is_some();
            let connection = match waiting {
                Some(connection) => connection,
                None => self.open(&uri, to).await?,
            };
            match connection.send(request).await {
                Ok((connection, response)) => {
                    let carry = |incoming| PooledBody { incoming: Some(incoming), connection, pool: self.clone() };
                    return Ok(response.map(|incoming| Body::new(carry(incoming))));
                }
                // The upstream closed the connection while it waited: nothing was sent, so another one may do it.
                Err(SendError { unsent: Some(unsent), .. }) if is_reused => request = *unsent,
                Err(SendError { error, .. }) => return Err(Failure::Closed(error)),
            }
        }
    }

    async fn open(&self, uri: &Uri, to: &Authority) -> Result<Box<Connection>, Failure> {
        let stream = self.connector.call(uri.clone()).await.map_err(|error| Failure::Connect(error.into()))?;
        let (sender, connection) = http1::handshake(stream).await.map_err(|error| Failure::Connect(error.into()))?;
        Ok(Box::new(Connection { to: to.clone(), reactor: reactor(), sender, connection, used: Instant::now() }))
    }

    /// Closes connections that nobody has used for long.
    pub(super) fn close_idle(&self) {
        let expired = self.expired(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        // Closing takes its time, and others want the lock.
        drop(expired);
    }

    /// Takes out what has waited for too long: the front, as what was used last stands at the end.
    fn expired(&self, idle: &mut VecDeque<Box<Connection>>, now: Instant) -> VecDeque<Box<Connection>> {
        let is_expired = |connection: &Connection| now.saturating_duration_since(connection.used) > self.keep;
        let count = idle.iter().take_while(|connection| is_expired(connection)).count();
        idle.drain(..count).collect()
    }

    /// Returns the connection to `to` used last, if there is one of this thread's that still stands.
    fn checkout(&self, to: &Authority) -> Option<Box<Connection>> {
        let (now, reactor) = (Instant::now(), reactor());
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let expired = self.expired(&mut idle, now);
            let found = idle.iter().rposition(|connection| connection.reactor == reactor && connection.to == *to);
            let connection = found.and_then(|idx| idle.remove(idx));
            // Closing takes its time.
            drop(idle);
            drop(expired);
            let mut connection = connection?;
            if connection.poll_idle().is_pending() {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection` for the next request if it is fit for one.
    fn checkin(&self, mut connection: Box<Connection>) {
        if connection.poll_idle().is_pending() && connection.sender.is_ready() {
            connection.used = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(connection);
        }
    }
}

/// A request without an answer, and the request itself where nothing of it was sent.
struct SendError {
    error: BodyError,
    unsent: Option<Box<Request<Full<Bytes>>>>,
}

impl Connection {
    /// Sends `request` and waits for the answer's head; the connection is gone when the answer ends it.
    async fn send(
        mut self: Box<Self>,
        request: Request<Full<Bytes>>,
    ) -> Result<(Option<Box<Self>>, Response<Incoming>), SendError> {
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let mut connection = Some(self);
        let answered = poll_fn(|ctx| {
            poll_connection(&mut connection, ctx);
            // Only the connection makes an answer, so that nobody has to be woken for it.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending if connection.is_none() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match answered.await {
            Some(Ok(response)) => Ok((connection, response)),
            Some(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err(SendError { error: error.into_error().into(), unsent })
            }
            None => Err(SendError { error: "the connection ended".into(), unsent: None }),
        }
    }

    /// Does what is left to do, without being woken for more; ready when the connection is closed.
    fn poll_idle(&mut self) -> Poll<()> {
        let mut connection = pin!(unconstrained(&mut self.connection));
        connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(|_ended| ())
    }
}

/// Reads and writes as far as it goes; a connection that ends is dropped.
fn poll_connection(connection: &mut Option<Box<Connection>>, ctx: &mut Context<'_>) {
    let ended = connection.as_mut().is_some_and(|connection| Pin::new(&mut connection.connection).poll(ctx).is_ready());
    if ended {
        *connection = None;
    }
}

/// HTTP/1.1 names the host in a header and the path alone in its request line.
fn set_origin_form(request: &mut Request<Full<Bytes>>, uri: &Uri, to: &Authority) {
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    let host = match to.port_u16() {
        // What clients leave out by the standard.
        Some(80) => to.host(),
        // Credentials in a URL are nobody's business.
        _ => to.as_str().rsplit_once('@').map_or(to.as_str(), |(_, host)| host),
    };
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
}

/// The body of an answer, with the connection that it comes from.
struct PooledBody {
    incoming: Option<Incoming>,
    connection: Option<Box<Connection>>,
    pool: ConnectionPool,
}

impl PooledBody {
    /// The answer is over, or nobody wants its rest: a connection without anything left to read serves the next request.
    fn release(&mut self) {
        self.incoming = None;
        if let Some(connection) = self.connection.take() {
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

#[cfg(test)]
mod tests;
