//! Keys, their rights and their limits.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::{Value, json};

use super::test_gateway::TestGateway;

/// SHA-256 of `team-key` and of `service-key`.
const TEAM: &str = "e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8";
const SERVICE: &str = "bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e";

fn keys(more: &str) -> String {
    format!(
        "
auth:
  mode: keys
  keys:
    - {{name: team, sha256: {TEAM}, user: ada, allow_overrides: false, models: [auto], {more}}}
    - {{name: service, sha256: {SERVICE}, can_impersonate: true}}
"
    )
}

fn body(more: &Value) -> Value {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

async fn ask(gateway: &TestGateway, key: &str, headers: &[(&str, &str)], more: Value) -> Result<Answer> {
    let bearer = format!("Bearer {key}");
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(headers);
    wire::post(gateway.address, "/v1/chat/completions", &all, &body(&more)).await
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_unknown_key_is_refused_before_routing() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys(""))?;
    let answer = ask(&gateway, "stolen", &[], json!({})).await?;
    assert_eq!(code(&answer), (401, "invalid_api_key".to_owned()));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let none = wire::post(gateway.address, "/v1/chat/completions", &[], &body(&json!({}))).await?;
    assert_eq!(none.status, 401);
    assert_eq!(wire::get(gateway.address, "/v1/models").await?.status, 401);
    assert_eq!(upstream.count(), 0);
    Ok(())
}

#[tokio::test]
async fn the_gateways_key_never_reaches_an_upstream() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys(""))?;
    let answer = ask(&gateway, "service-key", &[("x-api-key", "service-key")], json!({"model": "premium"})).await?;
    assert_eq!(answer.status, 200);
    let request = &upstream.requests()[0];
    assert!(!request.headers.contains_key("authorization") && !request.headers.contains_key("x-api-key"));
    Ok(())
}

#[tokio::test]
async fn a_bound_key_is_its_user_and_cannot_pretend_to_be_another() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys(""))?;
    let answer = ask(&gateway, "team-key", &[], json!({"user": "mallory"})).await?;
    assert_eq!(answer.header("x-personaroute-user-state"), "known", "ada, whatever the field says");
    for header in [("x-personaroute-user", "bob"), ("x-personaroute-preference", "0.9"), ("x-personaroute-bypass", "1")]
    {
        let answer = ask(&gateway, "team-key", &[header], json!({})).await?;
        assert_eq!(code(&answer), (403, "forbidden".to_owned()), "{header:?}");
        let error = &answer.json()["error"];
        assert_eq!((error["param"].as_str(), error["type"].as_str()), (Some(header.0), Some("permission_error")));
        assert!(answer.text().contains(header.0), "{}", answer.text());
    }
    let answer = ask(&gateway, "team-key", &[], json!({"model": "premium"})).await?;
    assert_eq!(answer.status, 403);
    assert_eq!(upstream.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_speaking_key_names_users_and_overrides() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys(""))?;
    let headers = [("x-personaroute-user", "ada"), ("x-personaroute-preference", "0.9")];
    let answer = ask(&gateway, "service-key", &headers, json!({})).await?;
    assert_eq!(answer.header("x-personaroute-user-state"), "known");
    assert_eq!(answer.header("x-personaroute-model"), "premium");
    Ok(())
}

#[tokio::test]
async fn requests_over_the_rate_are_refused_with_retry_after() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("limits: {requests_per_minute: 2}"))?;
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "team-key", &[], json!({})).await?.status, 200);
    }
    let answer = ask(&gateway, "team-key", &[], json!({})).await?;
    assert_eq!(code(&answer), (429, "rate_limit_exceeded".to_owned()));
    assert!((1..=30).contains(&answer.header("retry-after").parse::<u64>()?));
    assert_eq!(ask(&gateway, "service-key", &[], json!({})).await?.status, 200);
    assert_eq!(upstream.count(), 3);
    Ok(())
}

#[tokio::test]
async fn a_budget_is_set_aside_before_and_settled_after() -> Result<()> {
    let usage = json!({"prompt_tokens": 100_000, "completion_tokens": 100_000});
    let upstream = FakeUpstream::always(Reply::json(200, &json!({"choices": [], "usage": usage})))?;
    let limits = "limits: {budget: {month: 0.5}}";
    let gateway = TestGateway::between(&upstream, &upstream, &keys(limits))?;
    // 200,000 tokens at 1 and 2 dollars a million cost 0.3 dollars; the second request overdraws, the third is refused.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "team-key", &[], json!({})).await?.status, 200);
    }
    assert_eq!(code(&ask(&gateway, "team-key", &[], json!({})).await?), (429, "insufficient_quota".to_owned()));
    assert_eq!(upstream.count(), 2);
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    let spent = "personaroute_spend_usd_total{model=\"cheap\",requested_model=\"auto\",key=\"team\"} 0.6";
    assert!(metrics.contains(spent), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_could_cost_more_than_the_budget_is_refused_unsent() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("limits: {budget: {day: 0.5}}"))?;
    let answer = ask(&gateway, "team-key", &[], json!({"max_tokens": 1_000_000})).await?;
    assert_eq!(code(&answer), (429, "insufficient_quota".to_owned()));
    assert_eq!(upstream.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_bound_key_steers_nothing_unless_it_may() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let strict = format!("auth: {{mode: keys, keys: [{{name: team, sha256: {TEAM}, user: ada}}]}}");
    let gateway = TestGateway::between(&upstream, &upstream, &strict)?;
    let headers = [("x-personaroute-task", "math"), ("x-personaroute-candidates", "premium")];
    for header in headers {
        assert_eq!(ask(&gateway, "team-key", &[header], json!({})).await?.status, 403, "{header:?}");
    }
    let own = [("x-personaroute-user", "ada"), ("x-personaroute-explain", "1")];
    assert_eq!(ask(&gateway, "team-key", &own, json!({})).await?.status, 200, "its own name, and a question");
    Ok(())
}

#[tokio::test]
async fn decisions_without_calls_are_refused_alike_and_count_as_requests() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("limits: {requests_per_minute: 2}"))?;
    let bearer = [("authorization", "Bearer team-key")];
    let route = |body: Value| async move { wire::post(gateway.address, "/v1/route", &bearer, &body).await };
    assert_eq!(route(json!({"text": "hi", "user": "bob"})).await?.status, 403);
    assert_eq!(route(json!({"text": "hi"})).await?.status, 200);
    assert_eq!(code(&route(json!({"text": "hi"})).await?), (429, "rate_limit_exceeded".to_owned()));
    Ok(())
}

#[tokio::test]
async fn each_request_of_a_route_batch_counts_against_the_rate_of_its_key() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &keys("limits: {requests_per_minute: 10}"))?;
    let bearer = [("authorization", "Bearer team-key")];
    let route = |count: usize| async move {
        let requests: Vec<Value> = (0..count).map(|idx| json!({"text": format!("query {idx}")})).collect();
        wire::post(gateway.address, "/v1/route", &bearer, &json!({"requests": requests})).await
    };
    assert_eq!(route(6).await?.status, 200);
    let refused = route(6).await?;
    assert_eq!(code(&refused), (429, "rate_limit_exceeded".to_owned()), "{}", refused.text());
    assert!(refused.text().contains("requests_per_minute"), "{}", refused.text());
    assert_eq!(route(3).await?.status, 200, "three are left, as the refused batch counts as one request");
    Ok(())
}
