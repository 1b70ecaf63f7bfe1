//! The HTTP client: plain connections driven by their requests, TLS connections in pools, HTTP/1.1 or HTTP/2 as the
//! upstream offers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, uri::Scheme};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

pub use super::connection_pool::serve_on;
use super::{
    Body, Failure,
    connection_pool::{self, ConnectionPool},
};

/// How long an idle connection is kept: shorter than the minute after which common load balancers drop it silently.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// TLS connections of one thread that serves sockets, each a task of its own: HTTP/2 carries many calls at a time.
type TlsPool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub struct HttpClient {
    plain: ConnectionPool,
    secure: Arc<[TlsPool]>,
}

impl HttpClient {
    /// Returns a client that gives up connecting after `connect`.
    pub fn new(tls: &Arc<ClientConfig>, connect: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        let plain = ConnectionPool::new(tcp.clone(), IDLE_TIMEOUT);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(tls))
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT);
        // One for threads that serve no sockets, and one for each that does.
        let threads = 1 + std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { plain, secure: (0..threads).map(|_| builder.build(connector.clone())).collect() }
    }

    /// Sends `request`; dropping the future or the body ends the call and its connection.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, Failure> {
        if request.uri().scheme() == Some(&Scheme::HTTP) {
            return self.plain.send(request).await;
        }
        let idx = connection_pool::reactor().checked_rem(self.secure.len()).unwrap_or_default();
        let pool = self.secure.get(idx).ok_or_else(|| Failure::Connect("no pool of connections".into()))?;
        match pool.request(request).await {
            Ok(response) => Ok(response.map(|body| Body::new(body.map_err(Into::into)))),
            Err(error) if error.is_connect() => Err(Failure::Connect(error.into())),
            Err(error) => Err(Failure::Closed(error.into())),
        }
    }

    /// Closes plain connections that nobody has used for long; pools do so by themselves.
    pub fn close_idle(&self) {
        self.plain.close_idle();
    }
}

/// Returns the TLS settings of all clients: the public web's roots, ring's cryptography.
///
/// # Errors
///
/// Fails when the provider lacks the safe protocol versions.
pub fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_webpki_roots().with_no_client_auth()))
}
