//! Opens connections to upstreams: TCP, and TLS for https, over which the upstream chooses HTTP/1.1 or HTTP/2.

use std::{fmt, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use hyper::service::Service;
use hyper_util::{client::legacy::connect::HttpConnector, service::TowerToHyperService};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    body::BodyError,
    socket::{CloseCheck, Socket, UpstreamStream},
};

/// The protocol name of HTTP/2 in TLS (RFC 7301).
const HTTP2: &[u8] = b"h2";

/// A way to open connections.
pub(super) struct Connector {
    tcp: TowerToHyperService<HttpConnector>,
    tls: TlsConnector,
    timeout: Duration,
}

/// A connection that was opened.
pub(super) struct Opened {
    pub(super) stream: UpstreamStream,
    pub(super) check: CloseCheck,
    /// Whether the upstream chose HTTP/2.
    pub(super) is_http2: bool,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Connector {
    /// Returns a connector that gives up after `timeout`, TLS included.
    pub(super) fn new(tls: &ClientConfig, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Self { tcp: TowerToHyperService::new(tcp), tls: TlsConnector::from(Arc::new(tls)), timeout }
    }

    /// Connects to the host of `uri`.
    ///
    /// # Errors
    ///
    /// Fails if the host cannot be reached in time, or if the TLS handshake fails.
    pub(super) async fn open(&self, uri: &Uri) -> Result<Opened, BodyError> {
        tokio::time::timeout(self.timeout, self.connect(uri)).await?
    }

    async fn connect(&self, uri: &Uri) -> Result<Opened, BodyError> {
        let stream: TcpStream = self.tcp.call(uri.clone()).await?.into_inner();
        let check = CloseCheck::default();
        let socket = Socket::new(stream, check.clone());
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Opened { stream: UpstreamStream::Plain(socket), check, is_http2: false });
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = self.tls.connect(ServerName::try_from(host)?.to_owned(), socket).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(Opened { stream: UpstreamStream::Tls(Box::new(stream)), check, is_http2 })
    }
}
