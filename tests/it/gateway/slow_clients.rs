//! Slow and greedy clients: each is cut or refused at its limit, and takes its upstream call with it.

use std::time::Duration;

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::test_gateway::TestGateway;

/// Sends `text` and returns all that comes back until the gateway closes.
async fn exchange(gateway: &TestGateway, text: &str) -> Result<String> {
    let mut stream = TcpStream::connect(gateway.address).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ended = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {header_read: 100ms}")?;
    let answer = exchange(&gateway, "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await?;
    assert!(!answer.contains(" 200 "), "{answer}");
    assert_eq!(upstream.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused_and_the_connection_closed() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {body_read: 100ms}")?;
    let text = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{\"model\"";
    let answer = exchange(&gateway, text).await?;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
    assert_eq!(upstream.count(), 0);
    Ok(())
}

/// Sends the start of a request with `headers` and `body`, and no more; returns the response.
async fn refused_body(headers: &str, body: &str) -> Result<String> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {body: 1KiB}")?;
    let text = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}");
    let answer = exchange(&gateway, &text).await?;
    assert_eq!(upstream.count(), 0);
    Ok(answer)
}

#[tokio::test]
async fn a_body_whose_content_length_is_over_the_limit_is_refused_before_it_arrives() -> Result<()> {
    let answer = refused_body("content-length: 1025", "").await?;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_without_content_length_is_refused_once_it_exceeds_the_limit() -> Result<()> {
    // 1025 bytes in chunks of at most 0x200, and no last chunk.
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", "x".repeat(size));
    let body = chunk(0x200) + &chunk(0x200) + &chunk(1);
    let answer = refused_body("transfer-encoding: chunked", &body).await?;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {head: 8KiB, headers: 10}")?;
    let many: String = (0..20).map(|idx| format!("x-{idx}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(20_000));
    for headers in [many, long] {
        let answer =
            exchange(&gateway, &format!("GET /v1/models HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")).await?;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_over_http_1_1_that_does_not_name_its_host_once_is_refused() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let get = |hosts: &str| format!("GET /v1/models HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
    for (hosts, status) in [("", "400"), ("host: a\r\nhost: b\r\n", "400"), ("host: localhost\r\n", "200")] {
        let answer = exchange(&gateway, &get(hosts)).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{hosts}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_ends() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {connections: 1}")?;
    let mut first = TcpStream::connect(gateway.address).await?;
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    first.read_exact(&mut [0; 12]).await?;
    let address = gateway.address;
    let mut second = std::pin::pin!(wire::get(address, "/healthz"));
    let early = tokio::time::timeout(Duration::from_millis(200), second.as_mut()).await;
    assert!(early.is_err(), "the only place is taken");
    drop(first);
    assert_eq!(second.await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_and_its_upstream_call_with_it() -> Result<()> {
    let piece = "x".repeat(1 << 20);
    let mut frames: Vec<Frame> = (0..64).map(|_| Frame::event(&json!({"choices": [], "pad": piece}))).collect();
    frames.push(Frame::Wait(Gate::closed()));
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {write: 200ms}")?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(gateway.address).await?;
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    wait_until!(upstream.given_up() == 1);
    drop(stream);
    Ok(())
}
