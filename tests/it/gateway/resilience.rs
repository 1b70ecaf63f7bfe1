//! Upstreams that ail are left alone, and come back.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway, two};

async fn ask(gateway: &TestGateway, model: &str) -> Result<Answer> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    wire::post(gateway.address, "/v1/chat/completions", &[], &body).await
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_left_alone() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&broken, &premium, "breaker: {failures: 2, cooldown: 10m, max_cooldown: 10m}")?;
    for _ in 0..4 {
        assert_eq!(ask(&gateway, "auto").await?.header("x-personaroute-model"), "premium");
    }
    assert_eq!((broken.count(), premium.count()), (2, 4));
    assert_eq!(ask(&gateway, "auto").await?.header("x-personaroute-fallback"), "cheap=circuit_open");
    let alone = ask(&gateway, "cheap").await?;
    assert_eq!((alone.status, alone.json()["error"]["code"].as_str()), (503, Some("upstream_circuit_open")));
    assert!(alone.header("retry-after").parse::<u64>()? > 500);
    Ok(())
}

#[tokio::test]
async fn an_upstream_whose_answers_break_off_is_left_alone_and_whole_ones_between_prevent_it() -> Result<()> {
    let begun = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let cut = Reply::events(vec![begun, Frame::Cut]);
    let breaking = cut.clone();
    let (cheap, premium) = (
        FakeUpstream::always(cut)?,
        FakeUpstream::start(move |_, earlier| match earlier % 2 {
            0 => breaking.clone(),
            _ => Reply::chat("ok"),
        })?,
    );
    let gateway = TestGateway::between(&cheap, &premium, "breaker: {failures: 2, cooldown: 10m, max_cooldown: 10m}")?;
    for _ in 0..2 {
        assert!(ask(&gateway, "cheap").await.is_err(), "it breaks off");
    }
    let shut = ask(&gateway, "cheap").await?;
    assert_eq!((shut.status, shut.json()["error"]["code"].as_str()), (503, Some("upstream_circuit_open")));
    for is_whole in [false, true, false, true, false] {
        assert_eq!(ask(&gateway, "premium").await.is_ok(), is_whole);
    }
    assert_eq!((cheap.count(), premium.count()), (2, 5));
    Ok(())
}

#[tokio::test]
async fn after_the_cooldown_a_probe_brings_the_upstream_back() -> Result<()> {
    let cheap = FakeUpstream::start(|_, earlier| match earlier {
        0 => Reply::json(500, &json!({"error": {}})),
        _ => Reply::chat("ok"),
    })?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&cheap, &premium, "breaker: {failures: 1, cooldown: 1ms}")?;
    assert_eq!(ask(&gateway, "auto").await?.header("x-personaroute-model"), "premium");
    wait_until!(ask(&gateway, "auto").await?.header("x-personaroute-model") == "cheap");
    assert_eq!(cheap.count(), 2);
    Ok(())
}

#[tokio::test]
async fn retry_after_keeps_further_requests_away() -> Result<()> {
    let limited = Reply::json(429, &json!({"error": {"message": "slow"}})).with_header("retry-after", "60");
    let (cheap, premium) = (FakeUpstream::always(limited)?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "auto").await?.status, 200);
    }
    assert_eq!((cheap.count(), premium.count()), (1, 3));
    Ok(())
}

#[tokio::test]
async fn a_second_round_tries_again_after_a_pause() -> Result<()> {
    let cheap = FakeUpstream::start(|_, earlier| match earlier {
        0 => Reply::json(503, &json!({"error": {}})),
        _ => Reply::chat("ok"),
    })?;
    let gateway = TestGateway::between(&cheap, &cheap, "retry: {rounds: 2}")?;
    let answer = ask(&gateway, "cheap").await?;
    assert_eq!((answer.status, answer.header("x-personaroute-fallback")), (200, "cheap=503"));
    Ok(())
}

#[tokio::test]
async fn endpoints_of_one_llm_share_its_load_and_stand_in_for_each_other() -> Result<()> {
    let gate = Gate::closed();
    let mut held = Reply::chat("late");
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let (busy, idle) = (FakeUpstream::always(held)?, FakeUpstream::always(Reply::chat("ok"))?);
    let more = "models:
  - {llm: cheap, upstream: a, input_price: 1, output_price: 2}
  - {llm: cheap, upstream: b, input_price: 1, output_price: 2}
virtual_models:
  - {name: auto}
";
    let both = two(&busy, &idle, "");
    let upstreams = both.split("models:").next().unwrap_or_default();
    let gateway = TestGateway::start(&format!("{upstreams}{more}"), ByPrice)?;
    let first = ask(&gateway, "auto");
    let others = async {
        wait_until!(busy.count() == 1);
        for _ in 0..3 {
            assert_eq!(ask(&gateway, "auto").await?.status, 200);
        }
        assert_eq!((busy.count(), idle.count()), (1, 3));
        gate.open();
        Ok::<_, anyhow::Error>(())
    };
    let (first, others) = tokio::join!(first, others);
    others?;
    assert_eq!(first?.status, 200);
    Ok(())
}

#[tokio::test]
async fn skipping_endpoints_with_an_open_circuit_costs_no_retry() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let limited = FakeUpstream::always(Reply::json(429, &json!({})).with_header("retry-after", "600"))?;
    let healthy = FakeUpstream::always(Reply::chat("ok"))?;
    let limited_llms: Vec<String> = (1..7).map(|idx| format!("llm-{idx}")).collect();
    let entry = |llm: &String| format!("  - {{llm: {llm}, upstream: c, input_price: 2, output_price: 2}}\n");
    let entries: String = limited_llms.iter().map(entry).collect();
    let configuration = two(&broken, &healthy, "retry: {budget: 0}\nbreaker: {failures: 1000}")
        .replacen("models:\n", &format!("models:\n{entries}"), 1)
        .replacen(
            "upstreams:\n",
            &format!("upstreams:\n  - {{name: c, kind: openai, base_url: '{}'}}\n", limited.base_url()),
            1,
        );
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    for llm in &limited_llms {
        assert_eq!(ask(&gateway, llm).await?.status, 429);
    }
    // The budget allows ten retries; each of these requests needs one, and skips six endpoints.
    for _ in 0..10 {
        assert_eq!(ask(&gateway, "auto").await?.header("x-personaroute-model"), "premium");
    }
    assert_eq!((limited.count(), healthy.count()), (6, 10));
    Ok(())
}

#[tokio::test]
async fn without_budget_a_failed_request_is_not_retried() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let healthy = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&broken, &healthy, "retry: {budget: 0}\nbreaker: {failures: 1000}")?;
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(ask(&gateway, "auto").await?.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&500), "{statuses:?}");
    Ok(())
}
