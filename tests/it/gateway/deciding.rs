//! Who is picked, and what the client learns of it.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering, mpsc};

use anyhow::Result;
use personaroute_gateway::routing::Scorer;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use personaroute_host::{Decision, RouteError, RouteRequest};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::test_gateway::{ByPrice, Inline, TestGateway, two};

fn upstream() -> Result<FakeUpstream> {
    FakeUpstream::always(Reply::chat("ok"))
}

async fn ask(gateway: &TestGateway, user: Option<&str>, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    if let Some(user) = user {
        body["user"] = json!(user);
    }
    wire::post(gateway.address, "/v1/chat/completions", headers, &body).await
}

#[tokio::test]
async fn the_declared_preference_decides() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let frugal = ask(&gateway, None, &[("x-personaroute-preference", "0.1")]).await?;
    let demanding = ask(&gateway, None, &[("x-personaroute-preference", "0.9")]).await?;
    assert_eq!(frugal.header("x-personaroute-model"), "cheap");
    assert_eq!(demanding.header("x-personaroute-model"), "premium");
    assert_ne!(frugal.header("x-personaroute-decision"), demanding.header("x-personaroute-decision"));
    Ok(())
}

#[tokio::test]
async fn many_at_once_get_each_their_own_decision() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let scorer = Inline::default();
    let calls = Arc::clone(&scorer.calls);
    let gateway = TestGateway::start(&two(&cheap, &premium, ""), scorer)?;
    // A router has to show first that it is quick.
    for _ in 0..20 {
        ask(&gateway, None, &[]).await?;
    }
    let before = calls.load(Ordering::SeqCst);
    assert!(before > 0, "decisions by price are quick");
    let mut asking = JoinSet::new();
    for (preference, expected) in [("0.9", "premium"), ("0.1", "cheap"), ("0.1", "cheap")].repeat(20) {
        let address = gateway.address;
        asking.spawn(async move {
            let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
            let headers = [("x-personaroute-preference", preference)];
            let answer = wire::post(address, "/v1/chat/completions", &headers, &body).await?;
            Ok::<_, anyhow::Error>((answer.header("x-personaroute-model").to_owned(), expected))
        });
    }
    for asked in asking.join_all().await {
        let (model, expected) = asked?;
        assert_eq!(model, expected);
    }
    let made = calls.load(Ordering::SeqCst) - before;
    assert!((8..=60).contains(&made), "{made} calls for 60 requests, at most 8 each");
    Ok(())
}

#[tokio::test]
async fn the_virtual_models_preference_is_for_users_nobody_knows() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let configuration = two(&cheap, &premium, "").replace("{name: auto}", "{name: auto, preference: 0.9}");
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    assert_eq!(ask(&gateway, Some("new"), &[]).await?.header("x-personaroute-model"), "premium");
    assert_eq!(ask(&gateway, Some("ada"), &[]).await?.header("x-personaroute-model"), "cheap");
    Ok(())
}

#[tokio::test]
async fn the_user_comes_from_the_field_or_the_header() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let state = |answer: Answer| answer.header("x-personaroute-user-state").to_owned();
    assert_eq!(state(ask(&gateway, Some("ada"), &[]).await?), "known");
    assert_eq!(state(ask(&gateway, Some("bob"), &[]).await?), "new");
    assert_eq!(state(ask(&gateway, None, &[]).await?), "anonymous");
    assert_eq!(state(ask(&gateway, Some("bob"), &[("x-personaroute-user", "ada")]).await?), "known");
    Ok(())
}

#[tokio::test]
async fn the_explanation_names_every_candidate_with_its_scores() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let answer = ask(&gateway, None, &[("x-personaroute-explain", "1")]).await?;
    let told: Value = serde_json::from_str(answer.header("x-personaroute-explain"))?;
    assert_eq!(told["id"], answer.header("x-personaroute-decision"));
    assert_eq!(told["why"], "asked: hi");
    let llms: Vec<_> = told["ranking"].as_array().into_iter().flatten().map(|entry| entry["llm"].clone()).collect();
    assert_eq!(llms, ["cheap", "premium"]);
    assert_eq!(ask(&gateway, None, &[]).await?.header("x-personaroute-explain"), "");
    Ok(())
}

#[tokio::test]
async fn candidates_and_bypass_narrow_the_choice() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let only = ask(&gateway, None, &[("x-personaroute-candidates", "premium")]).await?;
    assert_eq!(only.header("x-personaroute-model"), "premium");
    let bypassed = ask(&gateway, Some("ada"), &[("x-personaroute-bypass", "1")]).await?;
    assert_eq!(bypassed.header("x-personaroute-fallback"), "router=bypass");
    assert_eq!(bypassed.header("x-personaroute-user-state"), "");
    Ok(())
}

#[tokio::test]
async fn candidates_that_cannot_serve_are_excluded_with_a_reason() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let configuration = two(&cheap, &premium, "").replace("name: cheap-1,", "name: cheap-1, context_window: 2,");
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "a prompt of some words"}]});
    let headers = [("x-personaroute-explain", "1")];
    let answer = wire::post(gateway.address, "/v1/chat/completions", &headers, &body).await?;
    assert_eq!(answer.header("x-personaroute-model"), "premium");
    let told: Value = serde_json::from_str(answer.header("x-personaroute-explain"))?;
    assert_eq!(told["excluded"], json!([{"llm": "cheap", "reason": "context_window"}]));
    Ok(())
}

#[tokio::test]
async fn a_decision_alone_asks_no_upstream() -> Result<()> {
    let (cheap, premium) = (upstream()?, upstream()?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let one = json!({"text": "hi", "user": "ada", "preference": 0.9});
    let answer = wire::post(gateway.address, "/v1/route", &[], &one).await?.json();
    assert_eq!((&answer["model"], &answer["user_state"]), (&json!("premium"), &json!("known")));
    let many = json!({"requests": [one, {"text": 1}, {"messages": [{"role": "user", "content": "hi"}]}]});
    let answer = wire::post(gateway.address, "/v1/route", &[], &many).await?.json();
    assert_eq!(answer["decisions"][0]["model"], "premium");
    assert!(answer["decisions"][1]["error"]["message"].is_string());
    assert_eq!(answer["decisions"][2]["model"], "cheap");
    assert_eq!(cheap.count() + premium.count(), 0);
    Ok(())
}

/// Blocks every call until its sender is dropped.
struct Blocked(Mutex<mpsc::Receiver<()>>);

impl Scorer for Blocked {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        let _released = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
        ByPrice.route(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        requests.iter().map(|request| self.route(request)).collect()
    }
}

#[tokio::test]
async fn a_route_batch_ends_at_the_total_deadline() -> Result<()> {
    let (release, blocked) = mpsc::channel();
    let upstream = upstream()?;
    let configuration = two(&upstream, &upstream, "timeouts: {total: 100ms}");
    let gateway = TestGateway::start(&configuration, Blocked(Mutex::new(blocked)))?;
    let body = json!({"requests": [{"text": "hi"}, {"text": "ho"}]});
    let answer = wire::post(gateway.address, "/v1/route", &[], &body).await?;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (504, Some("timeout")), "{}", answer.text());
    drop(release);
    Ok(())
}

#[tokio::test]
async fn the_simulated_upstream_names_llm_price_and_reason_and_owns_up() -> Result<()> {
    let configuration = "
version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams: [{name: sim, kind: simulated}]
models: [{llm: cheap, upstream: sim, input_price: 0.15, output_price: 0.6}]
virtual_models: [{name: auto}]
";
    let gateway = TestGateway::start(configuration, ByPrice)?;
    let whole = ask(&gateway, None, &[]).await?.json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    for part in ["simulated", "cheap", "$0.15", "$0.6", "asked: hi"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(whole["usage"]["completion_tokens"].as_u64() > Some(0));
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let streamed = wire::post(gateway.address, "/v1/chat/completions", &[], &body).await?.text();
    assert!(streamed.ends_with("data: [DONE]\n\n"));
    let pieces = streamed.split("\n\n").filter_map(|event| {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    assert_eq!(pieces.collect::<String>(), text);
    Ok(())
}
