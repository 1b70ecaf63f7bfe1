//! Budgets that two gateways use at the same time.

use anyhow::Result;
use personaroute_harness::{
    store::{Kept as _, Store},
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    PRICE, TestGateway, ask, ask_as, at, configuration, configuration_with, fallback, is_over_budget, settled, start,
    tenth_of_a_dollar,
};

/// Sends fifty requests to both gateways at once; returns how many were served.
pub(super) async fn served_at_once(gateways: &[TestGateway; 2]) -> Result<u64> {
    let mut requests = JoinSet::new();
    for idx in 0..50 {
        let address = gateways[idx % 2].address;
        requests.spawn(async move { ask(address).await });
    }
    let mut served = 0;
    while let Some(answer) = requests.join_next().await {
        let answer = answer??;
        assert_eq!(answer.header("x-personaroute-fallback"), "");
        served += u64::from(!is_over_budget(&answer));
    }
    Ok(served)
}

#[tokio::test]
async fn two_gateways_do_not_overspend_together() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let configuration = configuration("{day: 0.55}", &at(&store));
    let gateways = [start(&upstream, &configuration)?, start(&upstream, &configuration)?];
    let mut served = served_at_once(&gateways).await?;
    assert!((1..=5).contains(&served), "{served} tenths of 0.55 USD");
    // What was reserved and not used is available again, to either gateway.
    while !is_over_budget(&ask(gateways[usize::from(served % 2 == 0)].address).await?) {
        served += 1;
    }
    for gateway in &gateways {
        assert!(is_over_budget(&ask(gateway.address).await?));
    }
    assert_eq!((served, upstream.count() as u64), (5, 5));
    settled(&store, "day/key:team", 5 * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn a_key_and_a_user_are_charged_together_or_not_at_all() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let limits = "{budget: {month: 0.15}}";
    let configuration = configuration_with("{day: 5.0, month: 50.0}", limits, &at(&store), "");
    let (first, second) = (start(&upstream, &configuration)?, start(&upstream, &configuration)?);
    assert_eq!(fallback(&ask(first.address).await?), (200, ""));
    assert_eq!(ask(second.address).await?.status, 429, "ada's budget was used at the other gateway");
    assert_eq!(ask_as(second.address, "service-key", "ada").await?.status, 429, "with another key, too");
    assert_eq!(ask_as(second.address, "team-key", "bob").await?.status, 200);
    settled(&store, "day/key:team", 2 * PRICE).await;
    settled(&store, "month/key:team", 2 * PRICE).await;
    settled(&store, "month/user:ada", PRICE).await;
    settled(&store, "month/user:bob", PRICE).await;
    assert!(store.kept("day/user:ada")?.is_empty(), "users have no daily budget");
    for key in store.keys("*")? {
        assert!(key.starts_with("{personaroute}:"), "{key}");
        assert!(store.ask(&["TTL", &key])?.parse::<u64>()? > 86_400, "{key} outlives its period");
    }
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_drains_sends_all_its_spending() -> Result<()> {
    let gate = Gate::closed();
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 24_995}});
    let mut held = Reply::json(200, &usage);
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let (store, upstream) = (Store::start()?, FakeUpstream::always(held)?);
    let mut gateway = start(&upstream, &configuration("{day: 9}", &at(&store)))?;
    let mut running = JoinSet::new();
    let address = gateway.address;
    running.spawn(async move { ask(address).await });
    wait_until!(upstream.count() == 1);
    assert_eq!(store.kept("day/key:team")?["total"], PRICE, "reserved");
    gateway.leave();
    gate.open();
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer??.status, 200);
    }
    drop(gateway);
    assert_eq!(store.kept("day/key:team")?["total"], 49_991_000, "settled");
    Ok(())
}
