//! `/v1/messages/count_tokens`: counted by an Anthropic endpoint, or estimated.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway, two};

async fn count(gateway: &TestGateway, headers: &[(&str, &str)]) -> Result<Answer> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "twelve bytes"}]});
    wire::post(gateway.address, "/v1/messages/count_tokens?beta=true", headers, &body).await
}

fn first_is_anthropic(first: &FakeUpstream, second: &FakeUpstream) -> Result<TestGateway> {
    TestGateway::start(&two(first, second, "").replacen("kind: openai", "kind: anthropic", 1), ByPrice)
}

#[tokio::test]
async fn an_anthropic_endpoint_of_the_chosen_llm_counts() -> Result<()> {
    let counts = FakeUpstream::always(Reply::json(200, &json!({"input_tokens": 7})))?;
    let gateway = first_is_anthropic(&counts, &counts)?;
    let counted = count(&gateway, &[]).await?;
    assert_eq!((counted.status, &counted.json()["input_tokens"]), (200, &json!(7)));
    assert_eq!((counted.header("x-personaroute-estimated"), counted.header("x-personaroute-model")), ("", "cheap"));
    let request = &counts.requests()[0];
    assert_eq!(request.path, "/v1/messages/count_tokens?beta=true");
    assert_eq!((request.header("x-api-key"), &request.json()["model"]), ("sk-upstream", &json!("cheap-1")));
    let estimated = count(&gateway, &[("x-personaroute-preference", "0.9")]).await?;
    assert_eq!((estimated.header("x-personaroute-estimated"), &estimated.json()["input_tokens"]), ("1", &json!(3)));
    assert_eq!(counts.count(), 1, "the chosen LLM has no endpoint that counts");
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_does_not_count_leaves_the_estimate_and_a_refusal_is_passed_on() -> Result<()> {
    let error =
        |message: &str| json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
    for (reply, expected) in [
        (Reply::json(404, &error("not found")), 200),
        (Reply::json(529, &error("overloaded")), 200),
        (Reply::json(200, &json!({"id": "m"})), 200),
        (Reply::json(400, &error("messages: wrong")), 400),
    ] {
        let upstream = FakeUpstream::always(reply)?;
        let gateway = first_is_anthropic(&upstream, &upstream)?;
        let answer = count(&gateway, &[]).await?;
        assert_eq!(answer.status, expected, "{}", answer.text());
        let tokens = answer.json()["input_tokens"].clone();
        let is_estimate = (tokens, answer.header("x-personaroute-estimated")) == (json!(3), "1");
        assert_eq!(is_estimate, expected == 200, "{}", answer.text());
    }
    Ok(())
}
