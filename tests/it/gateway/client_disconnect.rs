//! A client that leaves takes its upstream call with it.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::json;

use super::test_gateway::TestGateway;

#[tokio::test]
async fn leaving_a_stream_cancels_the_upstream_call() -> Result<()> {
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(Gate::closed())]))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(gateway.address, request).await?;
    assert!(stream.next().await?.is_some());
    drop(stream);
    wait_until!(upstream.given_up() == 1);
    Ok(())
}

#[tokio::test]
async fn leaving_before_the_answer_cancels_the_upstream_call() -> Result<()> {
    let mut reply = Reply::chat("late");
    reply.frames.insert(0, Frame::Wait(Gate::closed()));
    let upstream = FakeUpstream::always(reply)?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    {
        let waiting = std::pin::pin!(wire::open(gateway.address, request));
        let came = async { wait_until!(upstream.count() == 1) };
        tokio::select! {
            _ = waiting => panic!("answered"),
            () = came => {}
        }
    }
    wait_until!(upstream.given_up() == 1);
    gateway.metric("outcome=\"client_gone\"} 1").await?;
    Ok(())
}

#[tokio::test]
async fn leaving_with_the_last_event_is_no_leaving() -> Result<()> {
    let frames = vec![Frame::event(&json!({"choices": []})), Frame::end(), Frame::Wait(Gate::closed())];
    let upstream = FakeUpstream::always(Reply::events(frames))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(gateway.address, request).await?;
    stream.read_until("[DONE]").await?;
    drop(stream);
    wait_until!(upstream.given_up() == 1);
    let metrics = gateway.metric("outcome=").await?;
    assert!(metrics.contains("outcome=\"ok\"} 1") && !metrics.contains("client_gone"), "{metrics}");
    Ok(())
}
