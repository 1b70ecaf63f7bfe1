//! The upstream of a load: answers every request at once with the same short chat completion.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http;
use crate::workspace;

const BODY: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

/// Starts the upstream; its threads end with the process.
pub(super) fn start() -> Result<SocketAddr> {
    listen(|stream| serve(&mut BufReader::new(stream)))
}

/// The same upstream over TLS and HTTP/1.1.
pub(super) struct TlsUpstream {
    pub(super) address: SocketAddr,
    /// The file of the certificate that clients must trust.
    pub(super) authority: PathBuf,
}

impl TlsUpstream {
    /// Starts the upstream with a new certificate for `localhost`.
    pub(super) fn start() -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let authority = workspace::cache()?.join("bench-upstream.pem");
        fs::write(&authority, certified.cert.pem()).with_context(|| authority.display().to_string())?;
        let key = PrivateKeyDer::try_from(certified.key_pair.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = builder.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key)?;
        let config = Arc::new(config);
        let address = listen(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config))?;
            serve(&mut BufReader::new(StreamOwned::new(connection, stream)))
        })?;
        Ok(Self { address, authority })
    }
}

/// Accepts connections and serves each on a thread of its own.
fn listen(serve: impl Fn(TcpStream) -> Result<()> + Clone + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the upstream")?;
    let address = listener.local_addr().context("the upstream's address")?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                // A client that leaves ends its connection, and that is all.
                let _ = stream.set_nodelay(true).context("the connection").and_then(|()| serve(stream));
            });
        }
    });
    Ok(address)
}

fn serve<S: Read + Write>(stream: &mut BufReader<S>) -> Result<()> {
    let reply =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let mut scratch = Vec::new();
    while http::read(stream, &mut scratch)?.is_some() {
        stream.get_mut().write_all(reply.as_bytes())?;
    }
    Ok(())
}
