//! Budgets on the primary that a sentinel names.

use anyhow::Result;
use personaroute_harness::{
    store::{SERVICE, Sentinel},
    upstream::FakeUpstream,
};

use super::{PRICE, ask, ask_until, configuration, fallback, settled, start, tenth_of_a_dollar, url};

#[tokio::test]
async fn after_a_failover_the_new_primary_knows_all_spending() -> Result<()> {
    let (servers, upstream) = (Sentinel::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let shared = format!("url: '{}', sentinel: {SERVICE}", url(servers.sentinel.port()));
    let gateway = start(&upstream, &configuration("{day: 9}", &shared))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    let [primary, replica] = &servers.servers;
    settled(primary, "day/key:team", PRICE).await;
    servers.fail_over()?;
    let served = 1 + ask_until(gateway.address, "").await?;
    settled(replica, "day/key:team", served * PRICE).await;
    Ok(())
}
