//! Down the ranking before the first byte.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::json;
use tokio::net::TcpSocket;

use super::test_gateway::{ByPrice, TestGateway, two};

/// Returns an address that refuses connections and is nobody else's while the socket is held: it is bound, and does not
/// listen.
fn down() -> Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}/v1", socket.local_addr()?);
    Ok((socket, url))
}

async fn ask(gateway: &TestGateway, stream: bool) -> Result<Answer> {
    let body = json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
    wire::post(gateway.address, "/v1/chat/completions", &[], &body).await
}

#[tokio::test]
async fn a_server_error_moves_on_to_the_next_llm_and_the_header_says_so() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&broken, &premium, "")?;
    let answer = ask(&gateway, false).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "premium"));
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=500");
    assert_eq!((broken.count(), premium.count()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn which_statuses_move_on_is_configured() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {"message": "mine"}})))?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&broken, &premium, "retry: {statuses: [503]}")?;
    let answer = ask(&gateway, false).await?;
    assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (500, Some("mine")));
    assert_eq!(premium.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_200_and_then_silence_moves_on() -> Result<()> {
    let silent = FakeUpstream::always(Reply::events(vec![Frame::Wait(Gate::closed())]))?;
    let premium = FakeUpstream::always(Reply::chat_stream(&["ok"]))?;
    let gateway = TestGateway::between(&silent, &premium, "timeouts: {first_byte: 100ms}")?;
    let answer = ask(&gateway, true).await?;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=first_byte_timeout");
    wait_until!(silent.given_up() == 1);
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_down_moves_on_and_when_all_are_down_a_502_says_so() -> Result<()> {
    let (_held, down) = down()?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let both = two(&premium, &premium, "");
    let (configuration, all_down) =
        (both.replacen(&premium.base_url(), &down, 1), both.replace(&premium.base_url(), &down));
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    let answer = ask(&gateway, false).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-fallback")), (200, "cheap=connect"));
    let gateway = TestGateway::start(&all_down, ByPrice)?;
    let answer = ask(&gateway, false).await?;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["code"], "upstream_unreachable");
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=connect, premium=connect");
    Ok(())
}

#[tokio::test]
async fn the_last_refusal_is_passed_on_when_all_refuse() -> Result<()> {
    let limited = Reply::json(429, &json!({"error": {"message": "slow"}})).with_header("retry-after", "3");
    let (cheap, premium) = (FakeUpstream::always(limited.clone())?, FakeUpstream::always(limited)?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let answer = ask(&gateway, false).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "3"));
    assert_eq!((cheap.count(), premium.count()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_is_passed_on_names_the_llm_that_gave_it() -> Result<()> {
    let limited = FakeUpstream::always(Reply::json(429, &json!({"error": {"message": "slow"}})))?;
    let (_held, down) = down()?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let configuration = two(&limited, &premium, "").replace(&premium.base_url(), &down);
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    let answer = ask(&gateway, false).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (429, "cheap"));
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=429, premium=connect");
    Ok(())
}

#[tokio::test]
async fn attempts_are_limited() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(503, &json!({"error": {}})))?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&broken, &premium, "retry: {attempts: 1}")?;
    assert_eq!(ask(&gateway, false).await?.status, 503);
    assert_eq!(premium.count(), 0);
    Ok(())
}
