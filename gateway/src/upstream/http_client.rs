//! The HTTP client: one pool of connections for each upstream, HTTP/1.1 or HTTP/2 as the upstream offers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use super::{Body, Failure};

/// How long an idle connection is kept: shorter than the minute after which common load balancers drop it silently.
const KEEP_IDLE: Duration = Duration::from_secs(50);

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// Returns a client that gives up connecting after `connect`.
    pub fn new(tls: &Arc<ClientConfig>, connect: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(tls))
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector);
        Self(client)
    }

    /// Sends `request`; dropping the future or the body ends the call and its connection.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, Failure> {
        match self.0.request(request).await {
            Ok(response) => Ok(response.map(|body| body.map_err(Into::into).boxed_unsync())),
            Err(error) if error.is_connect() => Err(Failure::Connect(error.into())),
            Err(error) => Err(Failure::Closed(error.into())),
        }
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
