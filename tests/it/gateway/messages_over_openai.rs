//! Anthropic's messages answered by an upstream that speaks OpenAI's chat completions.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Reply},
    wire::{self, Answer},
};
use serde_json::{Value, json};

use super::test_gateway::{ByPrice, TestGateway, two};

const MESSAGES: &str = "/v1/messages";

fn body(more: &Value) -> Value {
    let mut body = json!({"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

async fn ask(gateway: &TestGateway, more: &Value) -> Result<Answer> {
    let headers = [("x-api-key", "client"), ("anthropic-version", "2023-06-01"), ("anthropic-beta", "b")];
    wire::post(gateway.address, &format!("{MESSAGES}?beta=true"), &headers, &body(more)).await
}

fn chunk(delta: &Value, reason: &Value) -> Frame {
    Frame::event(&json!({"id": "c", "model": "g", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
}

#[tokio::test]
async fn messages_are_asked_and_answered_in_translation() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let answer = ask(&gateway, &json!({"system": "be brief", "metadata": {"user_id": "ada"}})).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "cheap"), "{}", answer.text());
    assert_eq!(answer.header("x-personaroute-user-state"), "known");
    let message = answer.json();
    assert_eq!((&message["type"], &message["stop_reason"]), (&json!("message"), &json!("end_turn")));
    assert_eq!(message["content"], json!([{"type": "text", "text": "ho"}]));
    assert_eq!((&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]), (&json!(9), &json!(3)));
    let request = &upstream.requests()[0];
    assert_eq!(
        (request.path.as_str(), request.header("authorization")),
        ("/v1/chat/completions", "Bearer sk-upstream")
    );
    let foreign = ["x-api-key", "anthropic-version", "anthropic-beta"];
    assert!(foreign.iter().all(|name| !request.headers.contains_key(*name)), "{:?}", request.headers);
    let asked = request.json();
    assert_eq!(
        (&asked["model"], &asked["max_completion_tokens"], &asked["user"]),
        (&json!("cheap-1"), &json!(9), &json!("ada"))
    );
    assert_eq!(asked["messages"][0], json!({"role": "system", "content": "be brief"}));
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_key_of_the_gateway_keeps_its_own_under_the_other_name() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    assert_eq!(ask(&gateway, &json!({"model": "premium"})).await?.status, 200);
    assert_eq!(upstream.requests()[0].header("authorization"), "Bearer client");
    Ok(())
}

#[tokio::test]
async fn a_stream_is_translated_as_it_comes_and_counted() -> Result<()> {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let (none, stop) = (Value::Null, json!("stop"));
    let frames = vec![
        chunk(&json!({"role": "assistant", "content": "h"}), &none),
        chunk(&json!({"content": "o"}), &none),
        chunk(&json!({}), &stop),
        Frame::event(&usage),
        Frame::done(),
    ];
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let text = ask(&gateway, &json!({"stream": true})).await?.text();
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!(upstream.requests()[0].json()["stream_options"], json!({"include_usage": true}));
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_never_counts_is_estimated() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat_stream(&["h", "o"]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    assert_eq!(ask(&gateway, &json!({"stream": true})).await?.status, 200);
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_usage_estimated_total"), "{metrics}");
    let output =
        metrics.lines().find(|line| line.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"}"));
    assert!(output.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_the_upstream_cuts_or_breaks_ends_in_anthropics_error_event() -> Result<()> {
    let said = chunk(&json!({"content": "h"}), &Value::Null);
    let error = Frame::event(&json!({"error": {"message": "out of memory"}}));
    for (last, message) in [(Frame::Cut, "the upstream truncated its response"), (error, "out of memory")] {
        let upstream = FakeUpstream::always(Reply::events(vec![said.clone(), last]))?;
        let gateway = TestGateway::between(&upstream, &upstream, "")?;
        let request = wire::json_request(gateway.address, MESSAGES, &[], &body(&json!({"stream": true})))?;
        let mut stream = wire::open(gateway.address, request).await?;
        let mut text = String::new();
        while let Ok(Some(piece)) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        let end = text.rsplit("event: error\ndata: ").next().unwrap_or_default();
        let end: Value = serde_json::from_str(end.trim())?;
        assert_eq!((&end["type"], &end["error"]["message"]), (&json!("error"), &json!(message)), "{text}");
        assert!(!text.contains("message_stop"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_retry_after_in_anthropics_words() -> Result<()> {
    let error = json!({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}});
    let upstream = FakeUpstream::always(Reply::json(429, &error).with_header("retry-after", "17"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let answer = ask(&gateway, &json!({"model": "cheap"})).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "17"));
    let expected = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}});
    assert_eq!(answer.json(), expected);
    Ok(())
}

#[tokio::test]
async fn candidates_of_both_formats_are_routed_alike_and_fall_back_across() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {"message": "mine"}})))?;
    let message = json!({"type": "message", "content": [{"type": "text", "text": "ho"}], "stop_reason": "end_turn"});
    let premium = FakeUpstream::always(Reply::json(200, &message))?;
    let mixed = two(&broken, &premium, "").replace("{name: b, kind: openai", "{name: b, kind: anthropic");
    let gateway = TestGateway::start(&mixed, ByPrice)?;
    let answer = ask(&gateway, &json!({})).await?;
    assert_eq!((answer.status, answer.json()), (200, message));
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=500");
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &chat).await?;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "ho");
    assert_eq!((broken.count(), premium.count()), (2, 2));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_translated_goes_to_the_format_it_is_written_in_or_is_refused_with_its_place() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ho"))?;
    let message = json!({"type": "message", "content": [], "stop_reason": "end_turn"});
    let premium = FakeUpstream::always(Reply::json(200, &message))?;
    let mixed = two(&upstream, &premium, "").replace("{name: b, kind: openai", "{name: b, kind: anthropic");
    let gateway = TestGateway::start(&mixed, ByPrice)?;
    let searching = json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    let answer = ask(&gateway, &searching).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "premium"));
    let mut concrete = searching.clone();
    concrete["model"] = json!("cheap");
    let refused = ask(&gateway, &concrete).await?;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    assert!(refused.text().contains("tools[0]"), "{}", refused.text());
    let chat = json!({"model": "premium", "n": 2, "messages": [{"role": "user", "content": "hi"}]});
    let refused = wire::post(gateway.address, "/v1/chat/completions", &[], &chat).await?;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("n")));
    assert_eq!((upstream.count(), premium.count()), (0, 1));
    Ok(())
}
