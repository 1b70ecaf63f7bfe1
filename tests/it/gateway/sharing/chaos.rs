//! After any sequence of faults between gateways and their store, it knows what they have spent, to the nano-dollar.

use std::collections::BTreeMap;

use anyhow::Result;
use personaroute_harness::{
    stall::Stall,
    store::{Cluster, Kept, Store},
    upstream::FakeUpstream,
    wait::Wait,
    wait_until, wire,
};
use tokio::task::{JoinError, JoinSet};

use super::{TestGateway, ask_as, configuration_with, start, tenth_of_a_dollar, url, with_timeout};

/// Gateways of a scene, and the users of each request.
const GATEWAYS: u64 = 3;
const USERS: u64 = 3;

/// A linear congruential generator with Knuth's MMIX constants: the same faults for the same seed.
struct Random(u64);

impl Random {
    /// Returns a number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The servers, each behind a proxy that can stall.
struct Servers<K> {
    store: K,
    proxies: Vec<Stall>,
    /// Restarts the server of the budgets, which loses its data.
    restart: fn(&mut K) -> Result<()>,
}

impl Servers<Store> {
    async fn single() -> Result<Self> {
        let store = Store::start()?;
        let proxies = vec![Stall::before(store.port()).await?];
        let restart = |store: &mut Store| {
            store.kill();
            store.start_again()
        };
        Ok(Self { store, proxies, restart })
    }
}

impl Servers<Cluster> {
    async fn cluster() -> Result<Self> {
        let mut cluster = Cluster::start()?;
        let mut proxies = Vec::new();
        for node in &cluster.nodes {
            proxies.push(Stall::before(node.port()).await?);
        }
        // Clients are told the proxies' ports.
        let ports: Vec<u16> = proxies.iter().map(|proxy| proxy.address().port()).collect();
        cluster.announce(&ports)?;
        let restart = |cluster: &mut Cluster| {
            let owner = cluster.owner("{personaroute}")?;
            cluster.nodes[owner].kill();
            cluster.nodes[owner].start_again()
        };
        Ok(Self { store: cluster, proxies, restart })
    }
}

impl<K: Kept> Servers<K> {
    fn shared(&self) -> String {
        let urls: Vec<String> = self.proxies.iter().map(|proxy| format!("'{}'", url(proxy.address().port()))).collect();
        format!("url: [{}]", urls.join(", "))
    }

    /// Returns whether the totals are `expected`, give or take the rounding of each gateway.
    fn keep(&self, expected: &BTreeMap<String, u64>) -> bool {
        expected.iter().all(|(account, sum)| {
            let kept = self.store.kept(&format!("day/{account}")).unwrap_or_default();
            kept.get("total").is_some_and(|total| total.abs_diff(*sum) <= GATEWAYS)
        })
    }

    /// Serves requests through `steps` faults and requests, and compares what the store keeps with what was used.
    async fn run(mut self, seed: u64, steps: usize) -> Result<()> {
        let upstream = FakeUpstream::always(tenth_of_a_dollar())?;
        let configuration = configuration_with("{day: 1000}", "{budget: {day: 1000}}", &self.shared(), "");
        let configuration = with_timeout(&configuration, "30ms");
        let gateways = (0..GATEWAYS).map(|_| start(&upstream, &configuration)).collect::<Result<Vec<_>>>()?;
        let mut random = Random(seed);
        let mut requests = JoinSet::new();
        let mut served = 0;
        for _ in 0..steps {
            match random.below(12) {
                0 => self.proxies.iter().for_each(Stall::stall),
                1 | 2 => self.proxies.iter().for_each(Stall::go_on),
                3 => (self.restart)(&mut self.store)?,
                // The clients disconnect.
                4 => requests.abort_all(),
                _ => (0..4).try_for_each(|_| {
                    let address = gateways[usize::try_from(random.below(GATEWAYS))?].address;
                    let user = format!("user-{}", random.below(USERS));
                    requests.spawn(async move { ask_as(address, "team-key", &user).await });
                    anyhow::Ok(())
                })?,
            }
            for _ in 0..random.below(6) {
                served += finished(requests.join_next().await)?;
            }
        }
        while !requests.is_empty() {
            served += finished(requests.join_next().await)?;
        }
        assert!(served > 10, "{served}");
        self.proxies.iter().for_each(Stall::go_on);
        let expected = self.settled(&gateways).await?;
        assert_eq!(expected.len(), 1 + usize::try_from(USERS)?, "{expected:?}");
        // Without a request, too, a store that has lost its data is sent all spending.
        (self.restart)(&mut self.store)?;
        wait_until!(self.keep(&expected));
        Ok(())
    }

    /// Waits until the store keeps what the gateways have used; a disconnect is noticed a little later.
    async fn settled(&self, gateways: &[TestGateway]) -> Result<BTreeMap<String, u64>> {
        let wait = Wait::new("the store keeps what was used");
        loop {
            let used = used(gateways).await?;
            if self.keep(&used) {
                return Ok(used);
            }
            wait.pause().await;
        }
    }
}

/// Returns 1 for a request that was served, and 0 for one whose client disconnected.
fn finished(joined: Option<Result<Result<wire::Answer>, JoinError>>) -> Result<u64> {
    match joined {
        Some(Ok(answer)) => {
            assert_eq!(answer?.status, 200);
            Ok(1)
        }
        Some(Err(_)) | None => Ok(0),
    }
}

/// Returns the nano-USD that the gateways report as used, by `key:NAME` and by `user:ID`.
async fn used(gateways: &[TestGateway]) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::<String, f64>::new();
    for gateway in gateways {
        let table = wire::get(gateway.admin, "/usage").await?.json();
        for row in table["usage"].as_array().into_iter().flatten() {
            for account in ["key", "user"] {
                let name = format!("{account}:{}", row[account].as_str().unwrap_or_default());
                *sums.entry(name).or_default() += row["cost_usd"].as_f64().unwrap_or_default();
            }
        }
    }
    let nano_usd = |usd: f64| format!("{:.0}", usd * 1e9).parse().unwrap_or_default();
    Ok(sums.into_iter().map(|(name, usd)| (name, nano_usd(usd))).collect())
}

#[tokio::test]
async fn after_any_faults_a_server_knows_what_was_spent() -> Result<()> {
    for seed in 1..=3 {
        Servers::single().await?.run(seed, 60).await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_any_faults_a_cluster_knows_what_was_spent() -> Result<()> {
    Servers::cluster().await?.run(4, 40).await
}
