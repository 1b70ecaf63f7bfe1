//! Pages of other origins: which may call, and what they may read.

use anyhow::Result;
use bytes::Bytes;
use http::Request;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::TestGateway;

const CHAT: &str = "/v1/chat/completions";
const PAGE: (&str, &str) = ("origin", "https://app.example");

/// SHA-256 of `secret`.
const KEYS: &str = "cors: {origins: ['https://app.example', 'http://localhost:3000']}
auth: {mode: keys, keys: [{name: k, sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}]}";

async fn preflight(gateway: &TestGateway, origin: &str) -> Result<Answer> {
    let request = Request::options(CHAT)
        .header("host", gateway.address.to_string())
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, content-type")
        .body(Bytes::new())?;
    wire::open(gateway.address, request).await?.finish().await
}

async fn ask(gateway: &TestGateway, headers: &[(&str, &str)]) -> Result<Answer> {
    wire::post(
        gateway.address,
        CHAT,
        headers,
        &json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]}),
    )
    .await
}

#[tokio::test]
async fn a_listed_page_may_call_and_read_the_decision() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    let gateway = TestGateway::between(&upstream, &upstream, KEYS)?;
    let asked = preflight(&gateway, PAGE.1).await?;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, PAGE.1), "without a key");
    assert_eq!(asked.header("access-control-allow-headers"), "authorization, content-type");
    let answer = ask(&gateway, &[PAGE, ("authorization", "Bearer secret")]).await?;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, PAGE.1));
    let readable = answer.header("access-control-expose-headers");
    assert!(readable.contains("x-personaroute-model") && readable.contains("x-personaroute-decision"), "{readable}");
    assert!(answer.headers.get_all("vary").iter().any(|name| name == "origin"));
    let refused = ask(&gateway, &[PAGE]).await?;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, PAGE.1), "a page reads why");
    Ok(())
}

#[tokio::test]
async fn other_pages_are_not_told_that_they_may() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    let gateway = TestGateway::between(&upstream, &upstream, KEYS)?;
    let asked = preflight(&gateway, "https://evil.example").await?;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (405, ""));
    let without = TestGateway::between(&upstream, &upstream, "")?;
    assert_eq!(preflight(&without, "http://localhost:3000").await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn without_keys_a_list_opens_nothing_beyond_this_machine() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    for origins in ["['https://app.example', 'http://localhost:3000']", "['*']"] {
        let gateway = TestGateway::between(&upstream, &upstream, &format!("cors: {{origins: {origins}}}"))?;
        let answer = ask(&gateway, &[PAGE]).await?;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""), "{origins}");
        assert_eq!(preflight(&gateway, PAGE.1).await?.status, 403);
        let local = ask(&gateway, &[("origin", "http://localhost:3000")]).await?;
        assert_eq!(local.status, 200);
        assert!(!local.header("access-control-allow-origin").is_empty());
        let rebound = wire::post(gateway.address, CHAT, &[("host", "app.example")], &json!({})).await?;
        assert_ne!(rebound.status, 200);
    }
    Ok(())
}
