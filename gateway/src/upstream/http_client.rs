//! The HTTP client of one upstream: a connection pool, and the TLS settings of all clients.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustls::{ClientConfig, RootCertStore};

use super::{Body, Failure, connection_pool::ConnectionPool, connector::Connector};

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pool: ConnectionPool,
}

/// The limits of the connections to one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Longest time to connect, TLS included.
    pub connect: Duration,
    /// Most idle connections.
    pub max_idle: usize,
}

impl HttpClient {
    /// Returns a client with these TLS settings and limits.
    pub fn new(tls: &ClientConfig, limits: ConnectionLimits) -> Self {
        Self { pool: ConnectionPool::new(Connector::new(tls, limits.connect), limits.max_idle) }
    }

    /// Sends `request`, whose URI names the upstream. Dropping the future or the body cancels the call.
    ///
    /// # Errors
    ///
    /// Fails if the upstream cannot be reached, or closes the connection before the response starts. If it has closed an idle
    /// connection, the request is sent over another one.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, Failure> {
        self.pool.send(request).await
    }

    /// Closes connections that have been idle for too long.
    pub fn close_idle(&self) {
        self.pool.close_idle();
    }
}

/// Returns the TLS settings of clients: the public root certificates, and ring's cryptography.
///
/// # Errors
///
/// Fails if the provider lacks the safe protocol versions.
pub fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
