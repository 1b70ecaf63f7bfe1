//! Budgets in a cluster: one hash tag keeps them in one slot, which any node may come to serve.

use anyhow::Result;
use personaroute_harness::{
    store::{Cluster, Kept as _},
    upstream::FakeUpstream,
};

use super::{
    PRICE, ask, ask_as, ask_until, configuration, configuration_with, fallback, is_over_budget, settled, start,
    tenth_of_a_dollar, together::served_at_once, url,
};

/// The hash tag of all keys.
const TAG: &str = "{personaroute}";

/// Returns the configuration keys of the cluster, by the URL of the node `idx`.
fn by_node(cluster: &Cluster, idx: usize) -> String {
    format!("url: '{}', cluster: true", url(cluster.nodes[idx].port()))
}

/// Returns the configuration keys of the cluster, by the URLs of all nodes.
fn by_all_nodes(cluster: &Cluster) -> String {
    let urls: Vec<String> = cluster.nodes.iter().map(|node| format!("'{}'", url(node.port()))).collect();
    format!("url: [{}]", urls.join(", "))
}

#[tokio::test]
async fn gateways_on_a_cluster_do_not_overspend_together() -> Result<()> {
    let (cluster, upstream) = (Cluster::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let other = (cluster.owner(TAG)? + 1) % 3;
    let gateways = [
        start(&upstream, &configuration("{day: 0.55}", &by_node(&cluster, other)))?,
        start(&upstream, &configuration("{day: 0.55}", &by_all_nodes(&cluster)))?,
    ];
    let mut served = served_at_once(&gateways).await?;
    assert!((1..=5).contains(&served), "{served} tenths of 0.55 USD");
    while !is_over_budget(&ask(gateways[usize::from(served % 2 == 0)].address).await?) {
        served += 1;
    }
    assert_eq!((served, upstream.count() as u64), (5, 5));
    settled(&cluster, "day/key:team", 5 * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn a_key_and_a_user_are_charged_together_on_a_cluster() -> Result<()> {
    let (cluster, upstream) = (Cluster::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let limits = "{budget: {day: 0.15, month: 0.35}}";
    let configuration = configuration_with("{day: 5.0, month: 50.0}", limits, &by_all_nodes(&cluster), "");
    let (first, second) = (start(&upstream, &configuration)?, start(&upstream, &configuration)?);
    assert_eq!(fallback(&ask(first.address).await?), (200, ""));
    assert_eq!(ask(second.address).await?.status, 429, "ada's day was used at the other gateway");
    assert_eq!(fallback(&ask_as(second.address, "team-key", "bob").await?), (200, ""));
    settled(&cluster, "day/key:team", 2 * PRICE).await;
    settled(&cluster, "month/key:team", 2 * PRICE).await;
    for user in ["ada", "bob"] {
        settled(&cluster, &format!("day/user:{user}"), PRICE).await;
        settled(&cluster, &format!("month/user:{user}"), PRICE).await;
    }
    Ok(())
}

#[tokio::test]
async fn budgets_follow_their_slot_to_another_node() -> Result<()> {
    let (cluster, upstream) = (Cluster::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let (source, target) = (cluster.owner(TAG)?, (cluster.owner(TAG)? + 1) % 3);
    let gateway = start(&upstream, &configuration("{day: 9}", &by_node(&cluster, source)))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    settled(&cluster, "day/key:team", PRICE).await;
    cluster.move_slot(TAG, target)?;
    let served = 1 + ask_until(gateway.address, "").await?;
    settled(&cluster, "day/key:team", served * PRICE).await;
    assert_eq!(cluster.nodes[target].kept("day/key:team")?["total"], served * PRICE);
    assert!(cluster.nodes[source].kept("day/key:team")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn while_its_node_is_down_requests_are_served_and_afterwards_it_is_sent_all_spending() -> Result<()> {
    let (mut cluster, upstream) = (Cluster::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let owner = cluster.owner(TAG)?;
    let gateway = start(&upstream, &configuration("{day: 9}", &by_all_nodes(&cluster)))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    cluster.nodes[owner].kill();
    let mut served = 1 + ask_until(gateway.address, "state=store_unavailable").await?;
    cluster.nodes[owner].start_again()?;
    cluster.wait_until_complete()?;
    served += ask_until(gateway.address, "").await?;
    settled(&cluster, "day/key:team", served * PRICE).await;
    Ok(())
}
