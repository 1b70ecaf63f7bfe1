//! SIGTERM: what runs is finished, then the program ends well.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wire,
};
use serde_json::json;

use super::running::{Running, configuration};

#[tokio::test]
async fn sigterm_in_the_middle_of_a_stream_lets_it_complete() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::done()]))?;
    let kind = format!("kind: openai, base_url: '{}'", upstream.base_url());
    let mut program = Running::start(&configuration(&kind, ""))?;
    let (address, _) = program.addresses().await?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(address, request).await?;
    assert!(stream.next().await?.is_some());
    program.terminate()?;
    // The listener closes first; only then is the stream allowed to go on.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(program.ended()?, None);
    gate.open();
    assert_eq!(stream.finish().await?.text(), "data: [DONE]\n\n");
    while program.ended()?.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(program.ended()?.is_some_and(|status| status.success()));
    Ok(())
}
