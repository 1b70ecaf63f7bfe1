//! Bad input: each refused with an OpenAI error object that names place and expectation, and no upstream asked.

use anyhow::Result;
use bytes::Bytes;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::TestGateway;

async fn refused(path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {body: 1KiB}")?;
    let mut request = wire::json_request(gateway.address, path, headers, &json!(null))?;
    *request.body_mut() = Bytes::copy_from_slice(body.as_bytes());
    let answer = wire::open(gateway.address, request).await?.finish().await?;
    assert_eq!(upstream.count(), 0, "{path} {body}");
    assert!(answer.json()["error"]["message"].is_string(), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    Ok(answer)
}

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() -> Result<()> {
    for body in ["", "nonsense", "[]", "{\"model\":", "\u{7f}"] {
        let answer = refused(CHAT, &[], body).await?;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (400, Some("invalid_json")), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chat_without_messages_is_refused_naming_the_field() -> Result<()> {
    for body in [r#"{"model":"auto"}"#, r#"{"model":"auto","messages":[]}"#] {
        let answer = refused(CHAT, &[], body).await?;
        assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("messages")));
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_model_is_openais_404() -> Result<()> {
    let answer = refused(CHAT, &[], r#"{"model":"gpt-9","messages":[{"role":"user","content":"hi"}]}"#).await?;
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert_eq!((error["code"].as_str(), error["param"].as_str()), (Some("model_not_found"), Some("model")));
    assert_eq!(error["message"], "the model `gpt-9` does not exist");
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_where_no_key_is_needed() -> Result<()> {
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"hi"}]}"#;
    for origin in ["https://evil.example", "null"] {
        let answer = refused(CHAT, &[("origin", origin), ("content-type", "text/plain")], body).await?;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, error["code"].as_str()), (403, Some("forbidden")));
        assert_eq!((error["type"].as_str(), error["param"].as_str()), (Some("permission_error"), Some("origin")));
    }
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    for (host, status) in [("evil.example", 403), ("localhost:1", 200), ("[::1]", 200)] {
        let request = http::Request::get("/v1/models").header("host", host).body(Bytes::new())?;
        assert_eq!(wire::open(gateway.address, request).await?.finish().await?.status, status, "{host}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_model_is_refused() -> Result<()> {
    let answer = refused(CHAT, &[], r#"{"messages":[{"role":"user","content":"hi"}]}"#).await?;
    assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("model")));
    Ok(())
}

#[tokio::test]
async fn headers_that_mean_nothing_are_refused() -> Result<()> {
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = refused(CHAT, &[("x-personaroute-preference", "2")], body).await?;
    assert_eq!(answer.json()["error"]["param"], "x-personaroute-preference");
    let answer = refused(CHAT, &[("x-personaroute-candidates", "nobody")], body).await?;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (400, Some("no_candidate")));
    Ok(())
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() -> Result<()> {
    assert_eq!(refused("/v1/audio/speech", &[], "{}").await?.status, 404);
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let answer = wire::get(gateway.address, CHAT).await?;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    Ok(())
}

#[tokio::test]
async fn embeddings_of_different_models_are_not_mixed() -> Result<()> {
    let answer = refused("/v1/embeddings", &[], r#"{"model":"auto","input":"hi"}"#).await?;
    assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("model")));
    Ok(())
}

#[tokio::test]
async fn the_admin_listener_of_this_machine_tells_other_sites_pages_nothing() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    for (host, status) in [("evil.example", 403), ("localhost:9", 200)] {
        let request = http::Request::get("/usage").header("host", host).body(Bytes::new())?;
        assert_eq!(wire::open(gateway.admin, request).await?.finish().await?.status, status, "{host}");
    }
    Ok(())
}
