//! Event streams: passed as they come, and ended honestly.

use anyhow::Result;
use bytes::Bytes;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::{Value, json};

use super::test_gateway::TestGateway;

fn body() -> Value {
    json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]})
}

async fn open(gateway: &TestGateway) -> Result<wire::Open> {
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body())?;
    wire::open(gateway.address, request).await
}

#[tokio::test]
async fn each_event_arrives_before_the_next_one_is_written() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let frames = vec![first, Frame::Wait(gate.clone()), Frame::end()];
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let mut stream = open(&gateway).await?;
    let piece = stream.next().await?.unwrap_or_default();
    assert!(String::from_utf8_lossy(&piece).contains("one"));
    gate.open();
    let rest = stream.finish().await?;
    assert_eq!(rest.text(), Frame::END);
    Ok(())
}

#[tokio::test]
async fn events_nobody_knows_pass_byte_for_byte() -> Result<()> {
    let odd = ": comment\n\nevent: x_custom\nid: 7\ndata: {\"x\":1,  \"y\":null}\n\nretry: 5\n\n";
    let frames = vec![Frame::Data(Bytes::from(odd)), Frame::end()];
    let upstream = FakeUpstream::always(Reply::events(frames).with_header("x-request-id", "r1"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let answer = open(&gateway).await?.finish().await?;
    assert_eq!(answer.text(), format!("{odd}{}", Frame::END));
    assert_eq!(answer.header("x-request-id"), "r1");
    assert_eq!(answer.header("content-type"), "text/event-stream");
    Ok(())
}

/// Reads until the connection breaks; returns what came and whether it broke.
pub(super) async fn read_broken(mut stream: wire::Open) -> (String, bool) {
    let mut text = String::new();
    loop {
        match stream.next().await {
            Ok(Some(piece)) => text.push_str(&String::from_utf8_lossy(&piece)),
            Ok(None) => return (text, false),
            Err(_) => return (text, true),
        }
    }
}

#[tokio::test]
async fn a_stream_cut_by_the_upstream_ends_in_an_error_event_and_never_in_done() -> Result<()> {
    let whole = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let half = Frame::Data(Bytes::from_static(b"data: {\"choices\":[{\"del"));
    let upstream = FakeUpstream::always(Reply::events(vec![whole, half, Frame::Cut]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let (text, broke) = read_broken(open(&gateway).await?).await;
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2, "{text}");
    let error: Value = serde_json::from_str(events[1].trim_start_matches("data: "))?;
    assert_eq!(error["error"]["code"], "upstream_stream_truncated");
    assert!(!text.contains("[DONE]"));
    assert!(broke, "the connection is closed without the end of the body");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_just_stops_is_cut_as_well() -> Result<()> {
    let frames = vec![Frame::event(&json!({"choices": [{"delta": {"content": "one"}, "finish_reason": null}]}))];
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let (text, broke) = read_broken(open(&gateway).await?).await;
    assert!(text.contains("upstream_stream_truncated") && !text.contains("[DONE]"), "{text}");
    assert!(broke);
    Ok(())
}

#[tokio::test]
async fn the_end_mark_without_each_choices_finish_reason_becomes_an_error_event() -> Result<()> {
    let chunk = |index: u32, reason: Option<&str>| {
        Frame::event(&json!({"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": reason}]}))
    };
    for (choices, chunks) in [
        (1, vec![chunk(0, None)]),
        (2, vec![chunk(0, None), chunk(1, None), chunk(0, Some("stop"))]),
        (2, vec![chunk(0, Some("stop"))]),
    ] {
        let upstream = FakeUpstream::always(Reply::events([chunks, vec![Frame::done()]].concat()))?;
        let gateway = TestGateway::between(&upstream, &upstream, "")?;
        let request =
            json!({"model": "auto", "stream": true, "n": choices, "messages": [{"role": "user", "content": "hi"}]});
        let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &request)?;
        let (text, broke) = read_broken(wire::open(gateway.address, request).await?).await;
        assert!(text.contains("upstream_stream_truncated") && !text.contains("[DONE]") && broke, "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_in_an_error_event() -> Result<()> {
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(Gate::closed())]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {idle: 50ms}")?;
    let (text, broke) = read_broken(open(&gateway).await?).await;
    assert!(text.contains("sent nothing within the idle timeout"), "{text}");
    assert!(broke);
    wait_until!(upstream.given_up() == 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_in_one_piece_that_is_cut_breaks_off() -> Result<()> {
    let mut reply = Reply::body(200, "application/json", "{\"id\":");
    reply.frames.push(Frame::Cut);
    let upstream = FakeUpstream::always(reply)?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let request = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &request)?;
    let (text, broke) = read_broken(wire::open(gateway.address, request).await?).await;
    assert_eq!((text.as_str(), broke), ("{\"id\":", true));
    Ok(())
}

#[tokio::test]
async fn what_happens_behind_the_last_event_takes_nothing_from_the_answer() -> Result<()> {
    let last = Frame::event(&json!({"choices": [{"delta": {"content": "one"}, "finish_reason": "stop"}]}));
    let stalled = Frame::Wait(Gate::closed());
    for after in [Frame::Cut, stalled] {
        let upstream = FakeUpstream::always(Reply::events(vec![last.clone(), Frame::end(), after]))?;
        let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {idle: 50ms}")?;
        let (text, broke) = read_broken(open(&gateway).await?).await;
        assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("error"), "{text}");
        assert!(!broke);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_though_it_never_pauses() -> Result<()> {
    let one = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![one; 2_000_000]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "timeouts: {total: 300ms}")?;
    let (text, broke) = read_broken(open(&gateway).await?).await;
    assert!(text.contains("took too long") && broke, "{}", text.len());
    Ok(())
}

#[tokio::test]
async fn an_event_of_many_megabytes_passes_and_is_read() -> Result<()> {
    let image = "A".repeat(3 << 20);
    let last = json!({"type": "response.completed", "response": {"output": [image], "usage": {"input_tokens": 3, "output_tokens": 7}}});
    let upstream = FakeUpstream::always(Reply::events(vec![Frame::event(&last)]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let request = json!({"model": "auto", "stream": true, "input": "hi"});
    let answer = wire::post(gateway.address, "/v1/responses", &[], &request).await?;
    assert!(!answer.text().contains("upstream_stream_truncated"));
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"} 7"), "{metrics}");
    Ok(())
}
