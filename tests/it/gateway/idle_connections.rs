//! Clients of HTTP/2, and silent ones: a connection that asks for nothing is closed, whichever HTTP it speaks, and its place is free again.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use personaroute_harness::{
    certificate::Authority,
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::test_gateway::TestGateway;

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &str = "\0\0\0\x04\0\0\0\0\0";
const SHORT_TIMEOUTS: &str = "timeouts: {header_read: 100ms, keep_alive: 100ms, write: 100ms}";

/// Says `words` and then nothing; returns when the gateway has closed the connection.
async fn closed(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) -> Result<()> {
    stream.write_all(words.as_bytes()).await?;
    // A reset is as good as an end.
    let _ended = stream.read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// Opens a connection over HTTP/2; each answer may send `window` bytes before some are taken.
async fn http2(
    address: SocketAddr,
    window: impl Into<Option<u32>>,
    tasks: &mut JoinSet<()>,
) -> Result<hyper::client::conn::http2::SendRequest<Full<Bytes>>> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = http2.initial_stream_window_size(window).handshake(stream).await?;
    tasks.spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn chat(gateway: &TestGateway) -> Result<http::Request<Full<Bytes>>> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let path = format!("http://{}/v1/chat/completions", gateway.address);
    Ok(http::Request::post(path).body(Full::new(Bytes::from(body.to_string())))?)
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed_on_either_listener() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &format!("{SHORT_TIMEOUTS}\nlimits: {{connections: 1}}"))?;
    let settled = format!("{PREFACE}{SETTINGS}");
    for words in ["", "P", "PRI * HTT", "GET / HTTP/1.1\r\n", PREFACE, &settled] {
        for address in [gateway.address, gateway.admin] {
            closed(TcpStream::connect(address).await?, words).await?;
        }
    }
    assert_eq!(wire::get(gateway.address, "/healthz").await?.status, 200, "the only place is free again");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_over_tls_is_closed() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    authority.issue()?.write(folder.path())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let more = format!("tls: {{certificate: '{}', key: '{}'}}\n{SHORT_TIMEOUTS}", at("tls.crt"), at("tls.key"));
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &more)?;
    for words in ["", "P", PREFACE] {
        closed(authority.connect(gateway.address, None).await?, words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_http2_connection_lives_as_long_as_its_streams_and_then_a_little() -> Result<()> {
    let gate = Gate::closed();
    let mut reply = Reply::chat("late");
    reply.frames.insert(0, Frame::Wait(gate.clone()));
    let upstream = FakeUpstream::always(reply)?;
    let gateway = TestGateway::between(&upstream, &upstream, SHORT_TIMEOUTS)?;
    let mut tasks = JoinSet::new();
    let mut sender = http2(gateway.address, None, &mut tasks).await?;
    let asked = sender.send_request(chat(&gateway)?);
    // Another connection comes and goes in the patience that this one does not need.
    closed(TcpStream::connect(gateway.address).await?, "").await?;
    closed(TcpStream::connect(gateway.address).await?, "").await?;
    gate.open();
    let answer = asked.await?;
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await?;
    tasks.join_next().await;
    assert!(sender.is_closed());
    Ok(())
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_loses_its_answer_and_its_upstream_call() -> Result<()> {
    let piece = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::start(move |_, before| match before {
        0 => Reply::events(vec![piece.clone(), piece.clone(), Frame::Wait(Gate::closed())]),
        _ => Reply::chat("whole"),
    })?;
    let more = "timeouts: {write: 100ms}\nlimits: {requests: 1}";
    let gateway = TestGateway::between(&upstream, &upstream, more)?;
    let mut tasks = JoinSet::new();
    let mut sender = http2(gateway.address, 0, &mut tasks).await?;
    for _ in ["a stream", "an answer in one piece"] {
        // The only place for a request is free again each time.
        let answer = sender.send_request(chat(&gateway)?).await?;
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err(), "reset");
    }
    wait_until!(upstream.given_up() == 1);
    assert_eq!(wire::get(gateway.address, "/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_over_http2() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {headers: 10}")?;
    let mut tasks = JoinSet::new();
    let mut sender = http2(gateway.address, None, &mut tasks).await?;
    for (count, status) in [(10, 200), (11, 431)] {
        let mut request = http::Request::get(format!("http://{}/v1/models", gateway.address));
        for idx in 0..count {
            request = request.header(format!("x-{idx}"), "1");
        }
        assert_eq!(sender.send_request(request.body(Full::default())?).await?.status(), status);
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_does_not_hold_the_drain() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let mut gateway =
        TestGateway::between(&upstream, &upstream, "timeouts: {header_read: 10m, keep_alive: 10m, drain: 10m}")?;
    let mut silent = Vec::new();
    for words in ["", "PRI", "GET /healthz HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = TcpStream::connect(gateway.address).await?;
        stream.write_all(words.as_bytes()).await?;
        silent.push(stream);
    }
    // The one that is accepted next shows that the silent ones were, too.
    assert_eq!(wire::get(gateway.address, "/healthz").await?.status, 200);
    gateway.leave();
    wait_until!(gateway.has_left());
    Ok(())
}
