//! Chat completions answered by an upstream that speaks Anthropic's messages.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Reply},
    wire,
};
use serde_json::{Value, json};

use super::stage::{ByPrice, Stage, two};

fn stage(upstream: &FakeUpstream) -> Result<Stage> {
    Stage::start(&two(upstream, upstream, "").replacen("kind: openai", "kind: anthropic", 1), ByPrice)
}

fn body(stream: bool) -> Value {
    json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

fn event(data: &Value) -> Frame {
    Frame::Data(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()).into())
}

fn started() -> Frame {
    event(&json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}}))
}

fn said(text: &str) -> Frame {
    event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

#[tokio::test]
async fn a_chat_completion_is_asked_and_answered_in_translation() -> Result<()> {
    let message = json!({"id": "m", "model": "c", "stop_reason": "end_turn", "content": [{"type": "text", "text": "ho"}],
                         "usage": {"input_tokens": 3, "output_tokens": 2}});
    let upstream = FakeUpstream::always(Reply::json(200, &message))?;
    let stage = stage(&upstream)?;
    let answer = wire::post(stage.address, "/v1/chat/completions", &[], &body(false)).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "cheap"), "{}", answer.text());
    let completion = answer.json();
    assert_eq!(completion["choices"][0]["message"]["content"], "ho");
    assert_eq!(completion["usage"]["total_tokens"], 5);
    let request = &upstream.requests()[0];
    assert_eq!((request.path.as_str(), request.header("x-api-key")), ("/v1/messages", "sk-upstream"));
    assert_eq!(request.header("anthropic-version"), "2023-06-01");
    assert_eq!((&request.json()["model"], &request.json()["max_tokens"]), (&json!("cheap-1"), &json!(4096)));
    Ok(())
}

#[tokio::test]
async fn a_stream_is_translated_as_it_comes_and_counted() -> Result<()> {
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}});
    let frames = vec![started(), said("h"), said("o"), event(&end), event(&json!({"type": "message_stop"}))];
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let stage = stage(&upstream)?;
    let text = wire::post(stage.address, "/v1/chat/completions", &[], &body(true)).await?.text();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let pieces = text.split("\n\n").filter_map(|event| {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    assert_eq!(pieces.collect::<String>(), "ho");
    let metrics = wire::get(stage.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_translated_stream_that_is_cut_ends_in_an_error_event() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::events(vec![started(), said("h"), Frame::Cut]))?;
    let stage = stage(&upstream)?;
    let request = wire::json_request(stage.address, "/v1/chat/completions", &[], &body(true))?;
    let mut stream = wire::open(stage.address, request).await?;
    let mut text = String::new();
    while let Ok(Some(piece)) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.contains("upstream_stream_cut") && !text.contains("[DONE]"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_message() -> Result<()> {
    let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}});
    let upstream = FakeUpstream::always(Reply::json(400, &error))?;
    let stage = stage(&upstream)?;
    let answer = wire::post(stage.address, "/v1/chat/completions", &[], &body(false)).await?;
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (400, &json!("too long")));
    Ok(())
}
