//! Several gateways that share budgets over a real store.

mod together;
mod outage;
mod access;
mod cluster;
mod sentinel;
mod chaos;

use std::net::SocketAddr;

use anyhow::Result;
use personaroute_harness::{
    store::{Kept, Store},
    upstream::{FakeUpstream, Reply},
    wait::Wait,
    wait_until,
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::TestGateway;

/// SHA-256 of `team-key` and of `service-key`.
const TEAM: &str = "e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8";
const SERVICE: &str = "bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e";

/// Nano-USD of [`tenth_of_a_dollar`]: one token at a dollar a million, 49,990 at two.
const PRICE: u64 = 99_981_000;

/// Returns a configuration with a key `team` that has `budget`, a key without a budget, the limits of each user, and the
/// section `state`, of which `shared` holds the store's keys.
fn configuration_with(budget: &str, per_user: &str, shared: &str, more_state: &str) -> String {
    format!(
        "
auth:
  mode: keys
  keys:
    - {{name: team, sha256: {TEAM}, can_impersonate: true, limits: {{budget: {budget}}}}}
    - {{name: service, sha256: {SERVICE}, can_impersonate: true}}
  per_user_limits: {per_user}
state:
  {more_state}
  shared: {{{shared}, timeout: 10s}}
"
    )
}

/// Returns a configuration that shares `budget` of the key `team` over the store with the keys `shared`.
fn configuration(budget: &str, shared: &str) -> String {
    configuration_with(budget, "{}", shared, "")
}

/// Returns `configuration` with another time limit of the store.
fn with_timeout(configuration: &str, timeout: &str) -> String {
    let changed = configuration.replace("timeout: 10s", &format!("timeout: {timeout}"));
    assert_ne!(changed, configuration);
    changed
}

/// Returns the configuration keys of a store without a password.
fn at(store: &Store) -> String {
    format!("url: '{}'", url(store.port()))
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// Starts a gateway whose models are all at `upstream`.
fn start(upstream: &FakeUpstream, configuration: &str) -> Result<TestGateway> {
    TestGateway::between(upstream, upstream, configuration)
}

/// A response that costs nearly 0.1 USD by the upstream's count.
fn tenth_of_a_dollar() -> Reply {
    Reply::json(200, &json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 49_990}}))
}

/// Sends a request of `team` that can cost at most 0.1 USD.
async fn ask(address: SocketAddr) -> Result<Answer> {
    ask_as(address, "team-key", "ada").await
}

async fn ask_as(address: SocketAddr, key: &str, user: &str) -> Result<Answer> {
    let bearer = format!("Bearer {key}");
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "cheap", "user": user, "max_tokens": 49_990, "messages": messages});
    wire::post(address, "/v1/chat/completions", &[("authorization", &bearer)], &body).await
}

/// Returns whether the budget is exceeded; any other refusal fails the test.
fn is_over_budget(answer: &Answer) -> bool {
    if answer.status == 200 {
        return false;
    }
    let code = answer.json()["error"]["code"].clone();
    assert_eq!((answer.status, code), (429, json!("insufficient_quota")), "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 86_400));
    true
}

fn fallback(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-personaroute-fallback"))
}

/// Sends requests until the fallback header is `state`; returns how many were served, that one included.
async fn ask_until(address: SocketAddr, state: &str) -> Result<u64> {
    let wait = Wait::new(format_args!("the fallback header {state:?}"));
    let mut served = 1;
    loop {
        let answer = ask(address).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.header("x-personaroute-fallback") == state {
            return Ok(served);
        }
        served += 1;
        wait.pause().await;
    }
}

/// Waits until the store keeps `total` nano-USD of a budget, which the processes' amounts add up to.
async fn settled(store: &impl Kept, budget: &str, total: u64) {
    wait_until!(store.kept(budget).is_ok_and(|kept| kept.get("total") == Some(&total)));
    let kept = store.kept(budget).unwrap();
    let sum: u64 = kept.iter().filter(|(process, _)| *process != "total").map(|(_, amount)| amount).sum();
    assert_eq!(sum, total);
}

/// Returns how many requests the gateway served without the store.
async fn store_unavailable(gateway: &TestGateway) -> Result<String> {
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("personaroute_store_unavailable_total "));
    Ok(line.unwrap_or_default().to_owned())
}
