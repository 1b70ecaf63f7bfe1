//! An LLM that fails, at any rate, does not harm the other LLMs of its upstream.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway};

/// Statuses of the failing LLM, in turn.
const STATUSES: [u16; 6] = [500, 503, 429, 404, 529, 408];

/// Requests for each LLM at each rate.
const REQUESTS: usize = 30;

/// Starts an upstream whose LLM `failing-1` fails `percent` of its requests.
fn upstream(percent: usize) -> Result<FakeUpstream> {
    FakeUpstream::start(move |request, before| {
        let is_failing = request.json()["model"] == "failing-1";
        // Every other request is for it; its failures are spread evenly.
        let number = before / 2;
        let is_due = (number + 1) * percent / 100 > number * percent / 100;
        match STATUSES.get(number % STATUSES.len()) {
            Some(&status) if is_failing && is_due => Reply::json(status, &json!({"error": {"message": "failed"}})),
            _ => Reply::chat("ok"),
        }
    })
}

async fn ask(gateway: &TestGateway, model: &str) -> Result<Answer> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    wire::open(gateway.address, request).await?.finish().await
}

#[tokio::test]
async fn a_failing_llm_leaves_the_others_of_its_upstream_alone() -> Result<()> {
    for percent in (10..=100).step_by(10) {
        let upstream = upstream(percent)?;
        let configuration = format!(
            "
version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams:
  - {{name: a, kind: openai, base_url: '{}', api_key: '${{KEY}}'}}
models:
  - {{llm: failing, upstream: a, name: failing-1, input_price: 1, output_price: 2}}
  - {{llm: healthy, upstream: a, name: healthy-1, input_price: 10, output_price: 20}}
virtual_models:
  - {{name: auto}}
breaker: {{failures: 2, cooldown: 50ms, max_cooldown: 100ms}}
retry: {{budget: 0.0}}
",
            upstream.base_url()
        );
        let gateway = TestGateway::start(&configuration, ByPrice)?;
        let mut failed = 0;
        for number in 0..REQUESTS {
            failed += usize::from(ask(&gateway, "failing").await?.status != 200);
            let answer = ask(&gateway, "healthy").await?;
            assert_eq!(answer.status, 200, "request {number} at {percent} %: {}", answer.text());
        }
        assert!(failed > 0, "nothing failed at {percent} %");
    }
    Ok(())
}
