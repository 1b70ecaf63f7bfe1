//! A store that is down, slow, or has lost its data.

use anyhow::Result;
use personaroute_harness::{
    stall::Stall,
    store::{Kept as _, Store},
    upstream::{FakeUpstream, Frame, Gate},
    wait_until,
};
use tokio::task::JoinSet;

use super::{
    PRICE, TestGateway, ask, ask_as, ask_until, at, configuration, configuration_with, fallback, is_over_budget,
    settled, start, store_unavailable, tenth_of_a_dollar, with_timeout,
};

/// Waits until a request without a budget left is refused by the store.
async fn refused_by_the_store(gateway: &TestGateway) -> Result<()> {
    let before = store_unavailable(gateway).await?;
    assert!(is_over_budget(&ask(gateway.address).await?));
    assert_eq!(store_unavailable(gateway).await?, before);
    Ok(())
}

#[tokio::test]
async fn without_the_store_each_gateway_enforces_what_it_knows_and_nothing_is_lost_or_counted_twice() -> Result<()> {
    let gate = Gate::closed();
    let mut held = tenth_of_a_dollar();
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let mut store = Store::start()?;
    let (upstream, slow) = (FakeUpstream::always(tenth_of_a_dollar())?, FakeUpstream::always(held)?);
    let configuration = configuration("{day: 0.55}", &at(&store));
    let first = TestGateway::between(&slow, &upstream, &configuration)?;
    let second = start(&upstream, &configuration)?;
    // A request that is running when the store goes down.
    let mut running = JoinSet::new();
    let address = first.address;
    running.spawn(async move { ask(address).await });
    wait_until!(slow.count() == 1);
    assert_eq!(fallback(&ask(second.address).await?), (200, ""));
    store.kill();
    let mut served = ask_until(second.address, "state=store_unavailable").await?;
    assert_ne!(store_unavailable(&second).await?, "0");
    while !is_over_budget(&ask(second.address).await?) {
        served += 1;
    }
    assert_eq!(served, 3, "five tenths, less one of its own and one known of the other gateway");
    gate.open();
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer??.status, 200);
    }
    store.start_again()?;
    settled(&store, "day/key:team", 5 * PRICE).await;
    refused_by_the_store(&second).await?;
    assert!(is_over_budget(&ask(first.address).await?), "the store was sent what it had lost");
    Ok(())
}

#[tokio::test]
async fn a_request_without_a_budget_never_waits_for_the_store() -> Result<()> {
    let (mut store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    store.kill();
    let gateway = start(&upstream, &configuration("{day: 9}", &at(&store)))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, "state=store_unavailable"));
    assert_eq!(fallback(&ask_as(gateway.address, "service-key", "ada").await?), (200, ""));
    assert_eq!(store_unavailable(&gateway).await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_stalled_store_delays_no_request_and_late_batches_count_once() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let proxy = Stall::before(store.port()).await?;
    let patient = configuration("{day: 500}", &format!("url: 'redis://{}'", proxy.address()));
    let hasty = start(&upstream, &with_timeout(&patient, "100ms"))?;
    let patient = start(&upstream, &patient)?;
    assert_eq!(fallback(&ask(patient.address).await?), (200, ""));
    let mut served = 1 + ask_until(hasty.address, "").await?;
    proxy.stall();
    // The stall lasts until the end of the test, so whoever is answered has not waited for the store.
    served += ask_until(hasty.address, "state=store_unavailable").await?;
    for _ in 0..3 {
        assert_eq!(fallback(&ask(hasty.address).await?), (200, "state=store_unavailable"));
        served += 1;
    }
    proxy.go_on();
    served += ask_until(hasty.address, "").await?;
    settled(&store, "day/key:team", served * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn a_batch_that_arrives_after_a_newer_one_changes_nothing() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let proxy = Stall::before(store.port()).await?;
    let configuration = configuration("{day: 500}", &format!("url: 'redis://{}'", proxy.address()));
    let gateway = start(&upstream, &with_timeout(&configuration, "100ms"))?;
    let (mut served, mut rounds) = (0, 0);
    // A stall may hold back a reply instead of a batch; then there is no late batch.
    while !proxy.has_held("day/key:team") {
        rounds += 1;
        assert!(rounds < 20, "no batch was held back");
        proxy.go_on();
        served += ask_until(gateway.address, "").await?;
        proxy.stall();
        served += ask_until(gateway.address, "state=store_unavailable").await?;
    }
    proxy.let_new();
    served += ask_until(gateway.address, "").await?;
    settled(&store, "day/key:team", served * PRICE).await;
    proxy.go_on();
    wait_until!(proxy.has_delivered("day/key:team"));
    // The server reads the late batch before this client connects.
    settled(&store, "day/key:team", served * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn a_store_that_was_emptied_is_sent_all_spending() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let configuration = configuration("{day: 9}", &at(&store));
    let gateways = [start(&upstream, &configuration)?, start(&upstream, &configuration)?];
    for gateway in &gateways {
        assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    }
    settled(&store, "day/key:team", 2 * PRICE).await;
    // The connections stay open, and no request follows.
    store.ask(&["FLUSHALL"])?;
    settled(&store, "day/key:team", 2 * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn spending_without_the_store_survives_a_restart_with_a_state_file() -> Result<()> {
    let (mut store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let folder = tempfile::tempdir()?;
    let file = format!("file: '{}'", folder.path().join("state.redb").display());
    let configuration = configuration_with("{month: 0.35}", "{}", &at(&store), &file);
    let gateway = start(&upstream, &configuration)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    store.kill();
    let served = 1 + ask_until(gateway.address, "state=store_unavailable").await?;
    drop(gateway);
    store.start_again()?;
    let gateway = start(&upstream, &configuration)?;
    settled(&store, "month/key:team", served * PRICE).await;
    assert_eq!(store.kept("month/key:team")?.len(), 2, "one process and the total: it has kept its id");
    drop(gateway);
    Ok(())
}

#[tokio::test]
async fn a_restarted_gateway_continues_the_numbers_of_its_batches() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let folder = tempfile::tempdir()?;
    let file = format!("file: '{}'", folder.path().join("state.redb").display());
    let configuration = configuration_with("{month: 9}", "{}", &at(&store), &file);
    for served in 1..=3 {
        let gateway = start(&upstream, &configuration)?;
        assert_eq!(fallback(&ask(gateway.address).await?), (200, ""), "the store answers the first request");
        settled(&store, "month/key:team", served * PRICE).await;
        drop(gateway);
    }
    assert_eq!(store.keys("*:batch:*")?.len(), 1);
    Ok(())
}
