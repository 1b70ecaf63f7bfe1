//! Anthropic's messages: byte for byte where the upstream speaks them.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Reply},
    wire,
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway, two};

#[tokio::test]
async fn messages_reach_an_anthropic_upstream_as_they_came_and_with_its_key() -> Result<()> {
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\
                  \"output_tokens\":1}}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let upstream = FakeUpstream::always(Reply::events(vec![Frame::Data(events.into())]))?;
    let configuration = two(&upstream, &upstream, "");
    let configuration = configuration.replacen("kind: openai", "kind: anthropic", 1);
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    let body = json!({"model": "auto", "max_tokens": 9, "stream": true, "x_new": 1,
                      "messages": [{"role": "user", "content": "hi"}]});
    let headers = [("anthropic-version", "2023-06-01"), ("x-api-key", "client")];
    let answer = wire::post(gateway.address, "/v1/messages", &headers, &body).await?;
    assert_eq!((answer.status, answer.text()), (200, events.to_owned()));
    let request = &upstream.requests()[0];
    assert_eq!((request.path.as_str(), request.header("x-api-key")), ("/v1/messages", "sk-upstream"));
    assert_eq!(request.header("anthropic-version"), "2023-06-01");
    assert_eq!((&request.json()["model"], &request.json()["x_new"]), (&json!("cheap-1"), &json!(1)));
    let refused = wire::post(gateway.address, "/v1/messages", &[], &json!({"model": "auto"})).await?;
    assert_eq!((refused.status, &refused.json()["type"]), (400, &json!("error")));
    Ok(())
}
