//! Requests answered by an upstream that speaks the other format.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::{Value, json};

use super::{
    streaming::read_broken,
    test_gateway::{ByPrice, TestGateway, two},
};

fn gateway(upstream: &FakeUpstream) -> Result<TestGateway> {
    TestGateway::start(&two(upstream, upstream, "").replacen("kind: openai", "kind: anthropic", 1), ByPrice)
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
    let gateway = gateway(&upstream)?;
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &body(false)).await?;
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
    let gateway = gateway(&upstream)?;
    let text = wire::post(gateway.address, "/v1/chat/completions", &[], &body(true)).await?.text();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let pieces = text.split("\n\n").filter_map(|event| {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    assert_eq!(pieces.collect::<String>(), "ho");
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_translated_stream_that_is_cut_ends_in_an_error_event() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::events(vec![started(), said("h"), Frame::Cut]))?;
    let gateway = gateway(&upstream)?;
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body(true))?;
    let stream = wire::open(gateway.address, request).await?;
    let (text, _) = read_broken(stream).await;
    assert!(text.contains("upstream_stream_truncated") && !text.contains("[DONE]"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_message() -> Result<()> {
    let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}});
    let upstream = FakeUpstream::always(Reply::json(400, &error))?;
    let gateway = gateway(&upstream)?;
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &body(false)).await?;
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (400, &json!("too long")));
    Ok(())
}

fn to_openai(upstream: &FakeUpstream, other: &FakeUpstream, more: &str) -> Result<TestGateway> {
    TestGateway::start(&two(upstream, other, more), ByPrice)
}

fn asked(stream: bool) -> Value {
    json!({"model": "auto", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

fn completion(message: &Value) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
}

#[tokio::test]
async fn an_answer_that_is_none_goes_down_the_ranking() -> Result<()> {
    let good = FakeUpstream::always(Reply::json(200, &completion(&json!({"content": "ho"}))))?;
    let error = json!({"error": {"message": "no credit", "code": 402}});
    let replies = [
        Reply::json(200, &error),
        Reply::json(200, &json!({"choices": []})),
        Reply::body(200, "text/html", "<html>"),
        Reply::events(vec![]),
    ];
    for reply in replies {
        let bad = FakeUpstream::always(reply)?;
        let gateway = to_openai(&bad, &good, "")?;
        let answer = wire::post(gateway.address, "/v1/messages", &[], &asked(false)).await?;
        assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "premium"), "{}", answer.text());
        assert_eq!(answer.json()["content"][0]["text"], "ho");
        assert_eq!(bad.count(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_without_events_is_a_failure_in_any_format() -> Result<()> {
    let empty = FakeUpstream::always(Reply::events(vec![]))?;
    let gateway = to_openai(&empty, &empty, "")?;
    for path in ["/v1/messages", "/v1/chat/completions"] {
        let answer = wire::post(gateway.address, path, &[], &asked(true)).await?;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_without_an_event_is_no_response() -> Result<()> {
    let silent = [Frame::Data(": working\n\n".into()), Frame::done()];
    for frames in [silent.to_vec(), silent[1..].to_vec()] {
        let upstream = FakeUpstream::always(Reply::events(frames))?;
        let gateway = to_openai(&upstream, &upstream, "")?;
        let answer = wire::post(gateway.address, "/v1/messages", &[], &asked(true)).await?;
        let error = &answer.json()["error"]["type"];
        assert_eq!(
            (answer.status, error, upstream.requests().len()),
            (502, &json!("api_error"), 2),
            "{}",
            answer.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn thinking_is_no_silence() -> Result<()> {
    let thought = Frame::event(&json!({"id": "c", "choices": [{"delta": {"reasoning_content": "hm"}}]}));
    let comment = Frame::Data(": working\n\n".into());
    let gates: Vec<Gate> = (0..4).map(|_| Gate::closed()).collect();
    let mut frames = vec![comment];
    for gate in &gates {
        frames.extend([Frame::Wait(gate.clone()), thought.clone()]);
    }
    let last = json!({"choices": [{"delta": {"content": "ho"}, "finish_reason": "stop"}]});
    frames.extend([Frame::event(&last), Frame::done()]);
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = to_openai(&upstream, &upstream, "")?;
    let request = wire::json_request(gateway.address, "/v1/messages", &[], &asked(true))?;
    // A comment is no response yet: the first thought starts it.
    gates[0].open();
    let mut stream = wire::open(gateway.address, request).await?;
    for gate in &gates {
        gate.open();
        let piece = stream.next().await?.unwrap_or_default();
        assert!(String::from_utf8_lossy(&piece).contains("event: "), "each thought shows that the answer goes on");
    }
    assert!(stream.finish().await?.text().contains("message_stop"));
    Ok(())
}

#[tokio::test]
async fn a_translated_answer_without_usage_is_estimated() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::json(200, &completion(&json!({"content": "x".repeat(4_000)}))))?;
    let gateway = to_openai(&upstream, &upstream, "")?;
    let answer = wire::post(gateway.address, "/v1/messages", &[], &asked(false)).await?;
    assert_eq!(answer.status, 200);
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_usage_estimated_total"), "{metrics}");
    let output =
        metrics.lines().find(|line| line.starts_with("personaroute_tokens_total{model=\"cheap\",kind=\"output\"}"));
    let tokens: u64 = output.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0);
    assert!(tokens >= 1_000, "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_translated_answer_may_take_longer_than_its_first_byte() -> Result<()> {
    let gate = Gate::closed();
    let text = completion(&json!({"content": "ho"})).to_string();
    let mut late = Reply::body(200, "application/json", "\n");
    late.frames.extend([Frame::Wait(gate.clone()), Frame::Data(text.into())]);
    let mut silent = Reply::json(200, &json!({}));
    silent.frames.insert(0, Frame::Wait(Gate::closed()));
    let upstream = FakeUpstream::start(move |_, before| if before == 0 { late.clone() } else { silent.clone() })?;
    let other = FakeUpstream::always(Reply::json(200, &completion(&json!({"content": "other"}))))?;
    let gateway = to_openai(&upstream, &other, "timeouts: {first_byte: 500ms}")?;
    let request = asked(false);
    let ask = || wire::post(gateway.address, "/v1/messages", &[], &request);
    let opening = async {
        wait_until!(upstream.count() == 1);
        // The first byte of a response to a later request is waited for in vain.
        let later = ask().await;
        gate.open();
        later
    };
    let (answer, later) = tokio::join!(ask(), opening);
    assert_eq!((later?.header("x-personaroute-model"), upstream.count()), ("premium", 2));
    let answer = answer?;
    assert_eq!((answer.status, &answer.json()["content"][0]["text"]), (200, &json!("ho")), "{}", answer.text());
    Ok(())
}
