//! Money: never more than the budget, whoever asks at the same time, and every token on somebody's account.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::test_gateway::TestGateway;

/// SHA-256 of `team-key` and of `service-key`.
const TEAM: &str = "e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8";
const SERVICE: &str = "bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e";

/// A bound key and a speaking one, with the limits of each key and user.
fn keys(limits: &str, per_user_limits: &str) -> String {
    format!(
        "
auth:
  mode: keys
  keys:
    - {{name: team, sha256: {TEAM}, user: ada, limits: {limits}}}
    - {{name: service, sha256: {SERVICE}, can_impersonate: true, limits: {limits}}}
  per_user_limits: {per_user_limits}
"
    )
}

/// A request that can cost at most 0.1 dollars at `cheap`, which takes 2 dollars a million output tokens.
fn tenth(user: &str) -> Value {
    json!({"model": "cheap", "user": user, "max_tokens": 49_990, "messages": [{"role": "user", "content": "hi"}]})
}

async fn ask(gateway: &TestGateway, key: &str, body: &Value) -> Result<Answer> {
    let bearer = format!("Bearer {key}");
    wire::post(gateway.address, "/v1/chat/completions", &[("authorization", &bearer)], body).await
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

/// An answer that the upstream counted at 0.1 dollars.
fn dear_answer() -> Reply {
    Reply::json(200, &json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 49_990}}))
}

async fn usage(gateway: &TestGateway) -> Result<Vec<Value>> {
    let table = wire::get(gateway.admin, "/usage").await?.json();
    Ok(table["usage"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn requests_at_the_same_time_do_not_overspend_together() -> Result<()> {
    let upstream = FakeUpstream::always(dear_answer())?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{budget: {day: 0.55}}", "{}"))?;
    let mut asked = JoinSet::new();
    let address = gateway.address;
    for _ in 0..40 {
        asked.spawn(async move {
            let headers = [("authorization", "Bearer team-key")];
            wire::post(address, "/v1/chat/completions", &headers, &tenth("ada")).await
        });
    }
    let mut served = 0;
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        match answer.status {
            200 => served += 1,
            _ => {
                assert_eq!(code(&answer), (429, "insufficient_quota".to_owned()));
                assert!(answer.header("retry-after").parse::<u64>()? <= 86_400);
            }
        }
    }
    assert!((1..=5).contains(&served), "{served} tenths of 0.55 dollars");
    assert_eq!(upstream.count(), served);
    Ok(())
}

#[tokio::test]
async fn a_day_and_a_month_hold_at_the_same_time() -> Result<()> {
    let upstream = FakeUpstream::always(dear_answer())?;
    for (budget, served) in [("{day: 0.25, month: 9}", 2), ("{day: 9, month: 0.15}", 1)] {
        let gateway = TestGateway::between(&upstream, &upstream, &keys(&format!("{{budget: {budget}}}"), "{}"))?;
        for _ in 0..served {
            assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 200, "{budget}");
        }
        assert_eq!(code(&ask(&gateway, "team-key", &tenth("ada")).await?), (429, "insufficient_quota".to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn each_user_has_a_budget_of_its_own_whoever_speaks_for_it() -> Result<()> {
    let upstream = FakeUpstream::always(dear_answer())?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{}", "{budget: {month: 0.15}}"))?;
    assert_eq!(ask(&gateway, "service-key", &tenth("ada")).await?.status, 200);
    assert_eq!(code(&ask(&gateway, "team-key", &tenth("ada")).await?), (429, "insufficient_quota".to_owned()));
    assert_eq!(ask(&gateway, "service-key", &tenth("bob")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn several_answers_of_one_request_are_all_set_aside() -> Result<()> {
    let upstream = FakeUpstream::always(dear_answer())?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{budget: {day: 0.15}}", "{}"))?;
    let mut body = tenth("ada");
    body["n"] = json!(8);
    assert_eq!(code(&ask(&gateway, "team-key", &body).await?), (429, "insufficient_quota".to_owned()));
    assert_eq!(upstream.count(), 0);
    Ok(())
}

#[tokio::test]
async fn who_answers_in_place_of_a_cooling_llm_was_set_aside_for() -> Result<()> {
    let tired = FakeUpstream::always(Reply::json(429, &json!({"error": {}})).with_header("retry-after", "60"))?;
    let premium = FakeUpstream::always(dear_answer())?;
    let more = format!("{}retry: {{attempts: 1}}\n", keys("{budget: {day: 0.15}}", "{}"));
    let gateway = TestGateway::between(&tired, &premium, &more)?;
    assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 429);
    let mut body = tenth("ada");
    body["model"] = json!("auto");
    assert_eq!(code(&ask(&gateway, "team-key", &body).await?), (429, "insufficient_quota".to_owned()));
    assert_eq!(
        (tired.count(), premium.count()),
        (1, 0),
        "a dollar at the premium one, of which a tenth was left aside"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_spent_outlives_the_process() -> Result<()> {
    let upstream = FakeUpstream::always(dear_answer())?;
    let folder = tempfile::tempdir()?;
    let state = format!("state: {{file: '{}'}}", folder.path().join("state.redb").display());
    let limits = format!("{}{state}\n", keys("{budget: {month: 0.15}}", "{}"));
    let gateway = TestGateway::between(&upstream, &upstream, &limits)?;
    assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 200);
    drop(gateway);
    let gateway = TestGateway::between(&upstream, &upstream, &limits)?;
    assert_eq!(code(&ask(&gateway, "team-key", &tenth("ada")).await?), (429, "insufficient_quota".to_owned()));
    Ok(())
}

#[tokio::test]
async fn requests_in_flight_over_the_limit_are_refused_with_retry_after() -> Result<()> {
    let gate = Gate::closed();
    let held = Reply { frames: vec![Frame::Wait(gate.clone()), Frame::Data("{}".into())], ..Reply::chat("") };
    let upstream = FakeUpstream::always(held)?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{concurrency: 1}", "{}"))?;
    let address = gateway.address;
    let mut first = JoinSet::new();
    first.spawn(async move {
        let headers = [("authorization", "Bearer team-key")];
        wire::post(address, "/v1/chat/completions", &headers, &tenth("ada")).await
    });
    wait_until!(upstream.count() == 1);
    let refused = ask(&gateway, "team-key", &tenth("ada")).await?;
    assert_eq!(code(&refused), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(
        (refused.header("retry-after"), refused.json()["error"]["type"].as_str()),
        ("1", Some("rate_limit_error"))
    );
    assert!(refused.text().contains("concurrency"), "{}", refused.text());
    gate.open();
    while let Some(answer) = first.join_next().await {
        assert_eq!(answer??.status, 200);
    }
    gate.open();
    assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 200, "the slot is free again");
    Ok(())
}

#[tokio::test]
async fn tokens_over_the_rate_of_a_key_or_a_user_are_refused_with_retry_after() -> Result<()> {
    for (limits, per_user_limits) in [("{tokens_per_minute: 60000}", "{}"), ("{}", "{tokens_per_minute: 60000}")] {
        let upstream = FakeUpstream::always(dear_answer())?;
        let gateway = TestGateway::between(&upstream, &upstream, &keys(limits, per_user_limits))?;
        // The response reports 50,000 tokens, and the next request reserves about as many.
        assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 200);
        let refused = ask(&gateway, "team-key", &tenth("ada")).await?;
        assert_eq!(code(&refused), (429, "rate_limit_exceeded".to_owned()), "{limits}");
        assert!(refused.text().contains("tokens_per_minute"), "{}", refused.text());
        let wait: u64 = refused.header("retry-after").parse()?;
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(upstream.count(), 1, "a refused request does not reach the upstream");
    }
    Ok(())
}

#[tokio::test]
async fn unused_tokens_of_a_reservation_are_returned() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{tokens_per_minute: 60000}", "{}"))?;
    // Each request reserves about 50,000 tokens, and its response uses a few.
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 200);
    }
    let mut body = tenth("ada");
    body["max_tokens"] = json!(1_000_000);
    assert_eq!(ask(&gateway, "service-key", &body).await?.status, 200, "over the limit, with a full bucket");
    Ok(())
}

#[tokio::test]
async fn an_uncounted_stream_is_estimated_and_marked_so() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat_stream(&["one ", "two ", "three"]))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{}", "{}"))?;
    let mut body = tenth("ada");
    body["stream"] = json!(true);
    assert_eq!(ask(&gateway, "team-key", &body).await?.status, 200);
    let rows = usage(&gateway).await?;
    let row = &rows[0];
    assert_eq!((&row["user"], &row["key"], &row["model"]), (&json!("ada"), &json!("team"), &json!("cheap")));
    assert_eq!((&row["answers"], &row["estimated_answers"]), (&json!(1), &json!(1)));
    assert!((3..=6).contains(&row["output_tokens"].as_u64().unwrap_or_default()), "{row}");
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains(r#"personaroute_usage_estimated_total{model="cheap"} 1"#), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_prompt_whose_answer_is_not_waited_for_is_paid_for() -> Result<()> {
    for timeouts in ["{total: 1s}", "{first_byte: 1s}"] {
        let upstream = FakeUpstream::always(Reply::events(vec![Frame::Wait(Gate::closed())]))?;
        let more = format!("{}timeouts: {timeouts}\n", keys("{}", "{}"));
        let gateway = TestGateway::between(&upstream, &upstream, &more)?;
        assert_eq!(ask(&gateway, "team-key", &tenth("ada")).await?.status, 504, "{timeouts}");
        assert_eq!(upstream.count(), 1);
        let rows = usage(&gateway).await?;
        assert_eq!((&rows[0]["input_tokens"], &rows[0]["output_tokens"]), (&json!(1), &json!(0)), "{timeouts}");
        assert_eq!(rows[0]["estimated_answers"], 1, "{timeouts}");
        assert!(rows[0]["cost_usd"].as_f64() > Some(0.0), "{timeouts}");
    }
    Ok(())
}

#[tokio::test]
async fn usage_is_told_per_user_key_llm_and_model_and_metrics_name_no_user() -> Result<()> {
    let counted =
        json!({"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}});
    let upstream = FakeUpstream::always(Reply::json(200, &json!({"choices": [], "usage": counted})))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("{}", "{}"))?;
    let mut body = tenth("bob");
    body["model"] = json!("auto");
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "service-key", &body).await?.status, 200);
    }
    let rows = usage(&gateway).await?;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let expected = json!({
        "user": "bob", "key": "service", "model": "cheap", "requested_model": "auto", "answers": 2, "estimated_answers": 0,
        "input_tokens": 200, "cached_input_tokens": 80, "output_tokens": 20,
    });
    for (key, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&rows[0][key], value, "{key}");
    }
    let cost = rows[0]["cost_usd"].as_f64().unwrap_or_default();
    assert!((cost - 2.0 * (100.0 + 20.0) / 1e6).abs() < 1e-12, "{cost}");
    assert!(!wire::get(gateway.admin, "/metrics").await?.text().contains("bob"));
    assert_eq!(wire::get(gateway.address, "/usage").await?.status, 404, "not for clients");
    Ok(())
}
