//! Slow and ill upstreams: a second place is asked in time, and probes keep requests away from who is ill.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use http::Method;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::{Value, json};

use super::test_gateway::{ByPrice, TestGateway, two};

const HEDGE: &str = "hedge: {after: 100ms}";

async fn ask(gateway: &TestGateway) -> Result<Answer> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    wire::post(gateway.address, "/v1/chat/completions", &[], &body).await
}

fn held(gate: &Gate) -> Reply {
    let mut held = Reply::chat("late");
    held.frames.insert(0, Frame::Wait(gate.clone()));
    held
}

async fn answers(gateway: &TestGateway) -> Result<Vec<(String, u64)>> {
    let table: Value = wire::get(gateway.admin, "/usage").await?.json();
    let rows = table["usage"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| (row["model"].as_str().unwrap_or_default().to_owned(), row["answers"].as_u64());
    Ok(rows.iter().map(row).map(|(model, answers)| (model, answers.unwrap_or_default())).collect())
}

#[tokio::test]
async fn a_slow_llm_is_overtaken_cancelled_and_not_counted() -> Result<()> {
    let (slow, quick) = (FakeUpstream::always(held(&Gate::closed()))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&slow, &quick, HEDGE)?;
    let answer = ask(&gateway).await?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "premium"));
    assert_eq!(answer.header("x-personaroute-hedge"), "won");
    wait_until!(slow.given_up() == 1);
    assert_eq!((slow.count(), quick.count()), (1, 1));
    gateway.metric("personaroute_hedges_total{outcome=\"won\"} 1").await?;
    assert_eq!(answers(&gateway).await?, [("premium".to_owned(), 1)]);
    Ok(())
}

#[tokio::test]
async fn an_llm_that_another_one_overtakes_is_not_taken_for_ill() -> Result<()> {
    let slow = FakeUpstream::start(|_, before| if before == 0 { held(&Gate::closed()) } else { Reply::chat("slow") })?;
    let quick = FakeUpstream::always(Reply::chat("ok"))?;
    let breaker = "breaker: {failures: 1, cooldown: 10m, max_cooldown: 10m}";
    let gateway = TestGateway::between(&slow, &quick, &format!("{HEDGE}\n{breaker}"))?;
    assert_eq!(ask(&gateway).await?.header("x-personaroute-hedge"), "won");
    let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]});
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &body).await?;
    assert_eq!((answer.status, slow.count()), (200, 2), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_hedge_that_is_refused_speaks_against_nobody() -> Result<()> {
    let refusal = Reply::json(401, &json!({"error": {"message": "wrong key"}}));
    let (slow, refusing) = (FakeUpstream::always(held(&Gate::closed()))?, FakeUpstream::always(refusal)?);
    let gateway = TestGateway::between(
        &slow,
        &refusing,
        &format!("{HEDGE}\nbreaker: {{failures: 1, cooldown: 10m, max_cooldown: 10m}}"),
    )?;
    for _ in 0..2 {
        assert_eq!(ask(&gateway).await?.status, 401);
    }
    assert_eq!((slow.count(), refusing.count()), (2, 2));
    Ok(())
}

#[tokio::test]
async fn the_first_may_still_win_and_then_the_second_is_cancelled() -> Result<()> {
    let gate = Gate::closed();
    let (first, second) = (FakeUpstream::always(held(&gate))?, FakeUpstream::always(held(&Gate::closed()))?);
    let gateway = TestGateway::between(&first, &second, HEDGE)?;
    let opening = async {
        wait_until!(second.count() == 1);
        gate.open();
    };
    let (answer, ()) = tokio::join!(ask(&gateway), opening);
    let answer = answer?;
    assert_eq!((answer.header("x-personaroute-model"), answer.header("x-personaroute-hedge")), ("cheap", "lost"));
    wait_until!(second.given_up() == 1);
    gateway.metric("personaroute_hedges_total{outcome=\"lost\"} 1").await?;
    assert_eq!(answers(&gateway).await?, [("cheap".to_owned(), 1)]);
    Ok(())
}

#[tokio::test]
async fn a_hedge_that_fails_leaves_the_first_to_answer() -> Result<()> {
    let gate = Gate::closed();
    let first = FakeUpstream::always(held(&gate))?;
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let gateway = TestGateway::between(&first, &broken, HEDGE)?;
    let opening = async {
        wait_until!(broken.finished() == 1);
        gate.open();
    };
    let (answer, ()) = tokio::join!(ask(&gateway), opening);
    let answer = answer?;
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "cheap"));
    assert_eq!(answer.header("x-personaroute-hedge"), "lost");
    Ok(())
}

#[tokio::test]
async fn nothing_is_hedged_after_the_first_byte_or_without_the_section() -> Result<()> {
    let gate = Gate::closed();
    let started = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let stream = Reply::events(vec![started, Frame::Wait(gate.clone()), Frame::end()]);
    let never = held(&Gate::closed());
    let first = FakeUpstream::start(move |_, before| if before == 0 { stream.clone() } else { never.clone() })?;
    let (slow, other) = (FakeUpstream::always(held(&gate))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&first, &other, "hedge: {after: 1s}")?;
    let without = TestGateway::between(&slow, &other, "")?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    let mut open = wire::open(gateway.address, request).await?;
    assert!(open.next().await?.is_some());
    // A request that starts after both is hedged; so both have had the time for it.
    let hedging = async {
        wait_until!(slow.count() == 1);
        let hedged = ask(&gateway).await;
        gate.open();
        gate.open();
        hedged
    };
    let (answer, hedged) = tokio::join!(ask(&without), hedging);
    assert_eq!(hedged?.header("x-personaroute-hedge"), "won");
    assert_eq!(answer?.header("x-personaroute-hedge"), "");
    assert_eq!(open.finish().await?.text(), Frame::END);
    assert_eq!(other.count(), 1, "only the third request is hedged");
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_probes_find_ill_gets_no_requests_until_it_is_well() -> Result<()> {
    let is_ill = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&is_ill);
    let cheap = FakeUpstream::start(move |request, _| match request.method {
        Method::GET if state.load(Ordering::Acquire) => Reply::json(503, &json!({})),
        Method::GET => Reply::json(200, &json!({})),
        _ => Reply::chat("ok"),
    })?;
    let premium = FakeUpstream::always(Reply::chat("ok"))?;
    let probed = "api_key: '${KEY}', health: {path: /models, interval: 20ms, timeout: 5s, failures: 2, successes: 2}";
    let gateway = TestGateway::start(&two(&cheap, &premium, "").replacen("api_key: '${KEY}'", probed, 1), ByPrice)?;
    gateway.metric("personaroute_upstream_up{upstream=\"a\"} 0").await?;
    let answer = ask(&gateway).await?;
    assert_eq!(answer.header("x-personaroute-model"), "premium");
    assert_eq!(answer.header("x-personaroute-fallback"), "cheap=circuit_open");
    let seen = cheap.requests();
    assert!(seen.iter().all(|request| request.method == Method::GET && request.path == "/v1/models"), "{seen:?}");
    assert_eq!(seen[0].header("authorization"), "Bearer sk-upstream");
    is_ill.store(false, Ordering::Release);
    gateway.metric("personaroute_upstream_up{upstream=\"a\"} 1").await?;
    assert_eq!(ask(&gateway).await?.header("x-personaroute-model"), "cheap");
    assert_eq!(premium.requests().iter().filter(|request| request.method == Method::GET).count(), 0, "off by default");
    Ok(())
}
