//! More than the gateway takes on is refused at once, and what it took on is served.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wire,
};
use serde_json::json;

use super::stage::{Stage, until};

#[tokio::test]
async fn requests_over_the_limit_are_shed_with_retry_after_until_a_place_is_free() -> Result<()> {
    let gate = Gate::closed();
    let mut held = Reply::chat("late");
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let upstream = FakeUpstream::start(move |_, earlier| if earlier == 0 { held.clone() } else { Reply::chat("ok") })?;
    let stage = Stage::between(&upstream, &upstream, "limits: {requests: 1}")?;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let ask = || wire::post(stage.address, "/v1/chat/completions", &[], &body);
    let others = async {
        until(|| upstream.count() == 1).await;
        for _ in 0..3 {
            let shed = ask().await?;
            assert_eq!((shed.status, shed.header("retry-after")), (503, "1"));
            assert_eq!(shed.json()["error"]["code"], "busy");
        }
        assert_eq!(wire::get(stage.address, "/healthz").await?.status, 200);
        gate.open();
        Ok::<_, anyhow::Error>(())
    };
    let (first, others) = tokio::join!(ask(), others);
    others?;
    assert_eq!((first?.status, upstream.count()), (200, 1));
    assert_eq!(ask().await?.status, 200);
    Ok(())
}
