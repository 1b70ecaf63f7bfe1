//! Leaving: running streams are finished, new connections are not taken.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::json;

use super::test_gateway::TestGateway;

async fn streaming(gateway: &TestGateway) -> Result<wire::Open> {
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(gateway.address, request).await?;
    assert!(stream.next().await?.is_some());
    Ok(stream)
}

#[tokio::test]
async fn a_running_stream_is_finished_while_health_says_so_and_then_the_gateway_leaves() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::end()]))?;
    let mut gateway = TestGateway::between(&upstream, &upstream, "")?;
    let stream = streaming(&gateway).await?;
    gateway.leave();
    // The listener closes first; only then is the stream allowed to go on.
    let (address, admin) = (gateway.address, gateway.admin);
    wait_until!(tokio::net::TcpStream::connect(address).await.is_err(), "the listener is closed");
    assert!(!gateway.has_left());
    let told = |path: &'static str| async move { Ok::<_, anyhow::Error>(wire::get(admin, path).await?.status) };
    assert_eq!((told("/readyz").await?, told("/healthz").await?, told("/metrics").await?), (503, 200, 200));
    gate.open();
    assert_eq!(stream.finish().await?.text(), Frame::END);
    wait_until!(gateway.has_left());
    Ok(())
}

#[tokio::test]
async fn the_drain_deadline_ends_what_does_not_end() -> Result<()> {
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(Gate::closed())]))?;
    let mut gateway = TestGateway::between(&upstream, &upstream, "timeouts: {drain: 50ms}")?;
    let stream = streaming(&gateway).await?;
    gateway.leave();
    wait_until!(gateway.has_left());
    assert!(stream.finish().await.is_err());
    Ok(())
}

#[tokio::test]
async fn health_is_served_on_both_listeners() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    for address in [gateway.address, gateway.admin] {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(wire::get(address, path).await?.status, 200);
        }
    }
    assert_eq!(wire::get(gateway.address, "/metrics").await?.status, 404);
    Ok(())
}
