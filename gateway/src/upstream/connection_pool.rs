//! Pools the connections to one upstream, with TLS or without.
//!
//! Each HTTP/1.1 connection is driven by the request that uses it: a connection with a task of its own costs two wake-ups in
//! each direction of a call. If the request ends early, its connection closes, which cancels the call. An HTTP/2 connection
//! carries many calls at a time, so it has a task of its own.
//!
//! A connection is used on the runtime that opened it, and so on the thread that serves the request: another thread would be
//! woken for each chunk.

mod http1;
mod http2;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header, uri::Authority};
use http_body_util::Full;
use tokio::runtime::{Handle, Id};

use self::{http1::Http1, http2::Http2};
use super::{Body, Failure, body::BodyError, connector::Connector};

/// How long an idle connection is kept: less than the minute after which common load balancers drop it silently.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub(super) struct ConnectionPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    connector: Connector,
    /// Most idle HTTP/1.1 connections.
    max_idle: usize,
    idle_timeout: Duration,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    /// The connection used last is at the end.
    idle: VecDeque<Box<Http1>>,
    /// At most one for each runtime.
    shared: Vec<Http2>,
}

/// A connection for one request.
enum Connection {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Why a request got no response. If nothing of it was sent, it comes back.
struct SendError {
    error: BodyError,
    unsent: Option<Box<Request<Full<Bytes>>>>,
}

impl ConnectionPool {
    /// Returns a pool that keeps at most `max_idle` idle connections, which `connector` opens.
    pub(super) fn new(connector: Connector, max_idle: usize) -> Self {
        let (idle_timeout, connections) = (IDLE_TIMEOUT, Mutex::default());
        Self(Arc::new(Pool { connector, max_idle, idle_timeout, connections }))
    }

    /// Sends `request` to the host that its URI names, which is the same in every call.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Body>, Failure> {
        let uri = std::mem::take(request.uri_mut());
        let Some(authority) = uri.authority() else {
            return Err(Failure::Connect("the URL names no host".into()));
        };
        let runtime = Handle::current().id();
        loop {
            let kept = self.checkout(runtime);
            let is_reused = kept.is_some();
            let connection = match kept {
                Some(connection) => connection,
                None => self.open(&uri, runtime).await.map_err(Failure::Connect)?,
            };
            let sent = match connection {
                Connection::Http1(connection) => {
                    set_origin_form(&mut request, &uri, authority);
                    connection.send(request, self).await
                }
                Connection::Http2(connection) => {
                    set_absolute_form(&mut request, &uri);
                    connection.send(request).await
                }
            };
            match sent {
                Ok(response) => return Ok(response),
                // The upstream closed the connection while it was idle, so another connection can carry the request.
                Err(SendError { unsent: Some(unsent), .. }) if is_reused => {
                    self.lock().shared.retain(|shared| shared.runtime != runtime);
                    request = *unsent;
                }
                Err(SendError { error, .. }) => return Err(Failure::Closed(error)),
            }
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_idle(&self) {
        let now = Instant::now();
        let mut connections = self.lock();
        let expired = connections.take_expired(now, self.0.idle_timeout);
        let shared = std::mem::take(&mut connections.shared);
        let (kept, unused) = shared.into_iter().partition(|shared| !shared.is_expired(now, self.0.idle_timeout));
        connections.shared = kept;
        drop(connections);
        drop::<(_, Vec<Http2>)>((expired, unused));
    }

    async fn open(&self, uri: &Uri, runtime: Id) -> Result<Connection, BodyError> {
        let opened = self.0.connector.open(uri).await?;
        if !opened.is_http2 {
            return Ok(Connection::Http1(Http1::open(opened, runtime).await?));
        }
        let connection = Http2::open(opened, runtime).await?;
        let mut connections = self.lock();
        connections.shared.retain(|other| other.runtime != runtime);
        connections.shared.push(connection.clone());
        drop(connections);
        Ok(Connection::Http2(connection))
    }

    /// Returns a connection of `runtime` that is open.
    fn checkout(&self, runtime: Id) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let mut connections = self.lock();
            if let Some(shared) = connections.shared(runtime, now) {
                return Some(Connection::Http2(shared));
            }
            let expired = connections.take_expired(now, self.0.idle_timeout);
            let found = connections.idle.iter().rposition(|connection| connection.runtime == runtime);
            let connection = found.and_then(|idx| connections.idle.remove(idx));
            drop(connections);
            // Closing takes time, so it is done without the lock.
            drop(expired);
            let mut connection = connection?;
            if connection.is_open(now) {
                return Some(Connection::Http1(connection));
            }
        }
    }

    /// Keeps `connection` for the next request. If there are too many, the one that was used first is closed.
    fn checkin(&self, connection: Box<Http1>) {
        let mut connections = self.lock();
        connections.idle.push_back(connection);
        let surplus = if connections.idle.len() > self.0.max_idle { connections.idle.pop_front() } else { None };
        drop(connections);
        drop(surplus);
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Takes the idle connections that have expired. They are at the front.
    fn take_expired(&mut self, now: Instant, timeout: Duration) -> VecDeque<Box<Http1>> {
        let count = self.idle.iter().take_while(|connection| connection.is_expired(now, timeout)).count();
        // Taking nothing allocates nothing.
        self.idle.drain(..count).collect()
    }

    /// Returns the HTTP/2 connection of `runtime`; a closed one is forgotten.
    fn shared(&mut self, runtime: Id, now: Instant) -> Option<Http2> {
        let idx = self.shared.iter().position(|shared| shared.runtime == runtime)?;
        let shared = self.shared.get_mut(idx)?;
        if shared.is_closed() {
            self.shared.swap_remove(idx);
            return None;
        }
        shared.used = now;
        Some(shared.clone())
    }
}

/// HTTP/1.1 has the host in a header and only the path in the request line.
fn set_origin_form(request: &mut Request<Full<Bytes>>, uri: &Uri, authority: &Authority) {
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *request.version_mut() = Version::HTTP_11;
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = match authority.port_u16() {
        // Clients leave out the default port.
        Some(port) if port == default_port => authority.host(),
        // Credentials in a URL are not sent.
        _ => authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host),
    };
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
}

/// HTTP/2 has the whole URI in pseudo-headers.
fn set_absolute_form(request: &mut Request<Full<Bytes>>, uri: &Uri) {
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
}

#[cfg(test)]
mod tests;
