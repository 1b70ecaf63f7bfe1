//! Upstreams over TLS: private authorities, client certificates, HTTP/2, and connections that the upstream has closed.

use std::{
    convert::Infallible,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener as BlockingListener, TcpStream as BlockingStream},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use personaroute_harness::{
    certificate::Authority,
    wire::{self, Answer},
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::test_gateway::{ByPrice, TestGateway};

const CHAT: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// What an upstream has seen.
#[derive(Default)]
struct Seen {
    connections: usize,
    versions: Vec<Version>,
}

/// An upstream over TLS; it stops when dropped.
struct TlsUpstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl TlsUpstream {
    /// Starts an upstream that offers `protocols`. With `clients` it requires certificates that this authority issued.
    async fn start(authority: &Authority, protocols: &[&str], clients: Option<&Authority>) -> Result<Self> {
        let config = Arc::new(server_config(authority, protocols, clients)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(TlsAcceptor::from(Arc::clone(&config)), stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, seen, _tasks: tasks })
    }

    /// Returns the number of connections, and the HTTP versions of the requests.
    fn seen(&self) -> (usize, Vec<Version>) {
        let seen = self.seen.lock().unwrap();
        (seen.connections, seen.versions.clone())
    }
}

/// Serves one connection; a client without a certificate that is required ends it.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    seen.lock().unwrap().connections += 1;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move { answer(request, &seen).await }
    });
    let stream = TokioIo::new(stream);
    let _ended = if is_http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

async fn answer(request: Request<Incoming>, seen: &Mutex<Seen>) -> Result<Response<Full<Bytes>>, Infallible> {
    seen.lock().unwrap().versions.push(request.version());
    let mut response = Response::new(Full::new(Bytes::from_static(CHAT.as_bytes())));
    response.headers_mut().insert("content-type", "application/json".parse().expect("a header's value"));
    Ok(response)
}

fn server_config(authority: &Authority, protocols: &[&str], clients: Option<&Authority>) -> Result<ServerConfig> {
    let folder = tempfile::tempdir()?;
    authority.issue()?.write(folder.path())?;
    let chain = vec![CertificateDer::from_pem_file(folder.path().join("tls.crt"))?];
    let key = PrivateKeyDer::from_pem_file(folder.path().join("tls.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes())?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Starts a gateway in front of the one upstream at `base_url`, with further keys of the upstream.
fn gateway(base_url: &str, keys: &str) -> Result<TestGateway> {
    let configuration = format!(
        "
version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams:
  - {{name: a, kind: openai, base_url: '{base_url}'{keys}}}
models:
  - {{llm: only, upstream: a, input_price: 1, output_price: 2}}
"
    );
    TestGateway::start(&configuration, ByPrice)
}

async fn ask(gateway: &TestGateway) -> Result<Answer> {
    let body = json!({"model": "only", "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    wire::open(gateway.address, request).await?.finish().await
}

/// Writes the authority's certificate into `folder`, and returns the key `ca`.
fn ca(authority: &Authority, folder: &Path) -> Result<String> {
    let file = folder.join("ca.pem");
    fs::write(&file, authority.pem())?;
    Ok(format!(", ca: '{}'", file.display()))
}

#[tokio::test]
async fn requests_share_an_http2_connection_of_each_thread() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    let upstream = TlsUpstream::start(&authority, &["h2", "http/1.1"], None).await?;
    let gateway = gateway(&format!("https://{}/v1", upstream.address), &ca(&authority, folder.path())?)?;
    for _ in 0..6 {
        let answer = ask(&gateway).await?;
        assert_eq!((answer.status, answer.json()["choices"][0]["message"]["content"].as_str()), (200, Some("ok")));
    }
    let (connections, versions) = upstream.seen();
    assert_eq!(versions, [Version::HTTP_2; 6]);
    // The gateway under test has two threads.
    assert!(connections <= 2, "{connections}");
    Ok(())
}

#[tokio::test]
async fn an_upstream_without_http2_is_called_over_kept_connections() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    let upstream = TlsUpstream::start(&authority, &["http/1.1"], None).await?;
    let gateway = gateway(&format!("https://{}/v1", upstream.address), &ca(&authority, folder.path())?)?;
    for _ in 0..6 {
        assert_eq!(ask(&gateway).await?.status, 200);
    }
    let (connections, versions) = upstream.seen();
    assert_eq!(versions, [Version::HTTP_11; 6]);
    assert!(connections <= 2, "{connections}");
    Ok(())
}

#[tokio::test]
async fn another_authority_is_not_trusted() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    let upstream = TlsUpstream::start(&authority, &["h2"], None).await?;
    let url = format!("https://{}/v1", upstream.address);
    for keys in [String::new(), ca(&Authority::new()?, folder.path())?] {
        let answer = ask(&gateway(&url, &keys)?).await?;
        assert_eq!((answer.status, answer.header("x-personaroute-fallback")), (502, "only=connect"));
    }
    assert_eq!(upstream.seen().0, 0);
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_an_upstream_that_requires_one() -> Result<()> {
    let (authority, clients, folder) = (Authority::new()?, Authority::new()?, tempfile::tempdir()?);
    clients.issue()?.write(folder.path())?;
    let upstream = TlsUpstream::start(&authority, &["http/1.1"], Some(&clients)).await?;
    let url = format!("https://{}/v1", upstream.address);
    let trusted = ca(&authority, folder.path())?;
    assert_eq!(ask(&gateway(&url, &trusted)?).await?.status, 502, "without a certificate");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let shown = format!("{trusted}, client_certificate: '{}', client_key: '{}'", at("tls.crt"), at("tls.key"));
    assert_eq!(ask(&gateway(&url, &shown)?).await?.status, 200);
    Ok(())
}

/// Reads one request with a body of known length from a blocking stream.
fn read_request(stream: &mut BlockingStream) -> Result<()> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        text.push(byte[0].to_ascii_lowercase());
    }
    let head = String::from_utf8(text)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.context("content-length")?.trim().parse()?];
    Ok(stream.read_exact(&mut body)?)
}

fn write_response(stream: &mut BlockingStream) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", CHAT.len());
    Ok(stream.write_all(format!("{head}{CHAT}").as_bytes())?)
}

/// Sends a chat over `stream` and returns the text of the response.
fn chat(stream: &mut BlockingStream) -> Result<String> {
    let body = json!({"model": "only", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut text = Vec::new();
    while !text.ends_with(CHAT.as_bytes()) {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        text.push(byte[0]);
    }
    Ok(String::from_utf8(text)?)
}

#[test]
fn a_connection_that_the_upstream_closes_as_a_request_comes_is_replaced() -> Result<()> {
    const ROUNDS: usize = 20;
    let listener = BlockingListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (close, to_close) = mpsc::channel::<()>();
    let (tell, closed) = mpsc::channel::<()>();
    let upstream = thread::spawn(move || -> Result<()> {
        for _ in 0..=ROUNDS {
            let (mut stream, _) = listener.accept()?;
            read_request(&mut stream)?;
            write_response(&mut stream)?;
            if to_close.recv().is_err() {
                break;
            }
            drop(stream);
            tell.send(())?;
        }
        Ok(())
    });
    let gateway = gateway(&format!("http://{address}/v1"), "")?;
    // One connection, so that one thread serves all requests and would use the connection again.
    let mut client = BlockingStream::connect(gateway.address)?;
    for round in 0..=ROUNDS {
        let response = chat(&mut client)?;
        assert!(response.starts_with("HTTP/1.1 200"), "round {round}: {response}");
        assert!(!response.contains("x-personaroute-fallback"), "no attempt failed: {response}");
        if round < ROUNDS {
            close.send(())?;
            closed.recv()?;
        }
    }
    drop(close);
    upstream.join().map_err(|_| anyhow::anyhow!("the upstream panicked"))?
}
