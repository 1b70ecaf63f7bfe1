//! Whatever happens between gateways and their store, in the end it knows what they have spent, to the nano-dollar.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use personaroute_harness::{stall::Stall, store::Store, upstream::FakeUpstream, wire};
use tokio::task::JoinSet;

use super::{TestGateway, ask_as, dear, sharing, until};

/// Answers that come out the same for the same seed.
struct Dice(u64);

impl Dice {
    /// Returns a number below `sides` (Knuth's MMIX constants).
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What the gateways have told of their use, in nano-USD: by `key:NAME` and by `user:ID`.
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
    let nano = |usd: f64| format!("{:.0}", usd * 1e9).parse().unwrap_or_default();
    Ok(sums.into_iter().map(|(name, usd)| (name, nano(usd))).collect())
}

/// Returns whether the store's totals are `expected`, give or take a nano-dollar for each gateway's rounding.
fn knows(store: &Store, expected: &BTreeMap<String, u64>) -> bool {
    expected.iter().all(|(account, sum)| {
        let kept = store.kept(&format!("day/{account}")).unwrap_or_default();
        kept.get("total").is_some_and(|total| total.abs_diff(*sum) <= 3)
    })
}

/// Serves through sixty mishaps and chats, and asks the store.
async fn after(seed: u64) -> Result<()> {
    let (mut store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let way = Stall::before(store.port()).await?;
    let (url, users) = (format!("redis://{}", way.address()), "{budget: {day: 1000}}");
    let configuration = sharing("{day: 1000}", users, &url, "").replace("timeout: 10s", "timeout: 30ms");
    let start = || TestGateway::between(&upstream, &upstream, &configuration);
    let gateways = [start()?, start()?, start()?];
    let mut dice = Dice(seed);
    let mut asked = JoinSet::new();
    for _ in 0..60 {
        match dice.roll(12) {
            0 => way.stall(),
            1 | 2 => way.go_on(),
            3 => {
                store.kill();
                store.start_again()?;
            }
            // Some of those under way leave.
            4 => asked.abort_all(),
            _ => {
                for _ in 0..4 {
                    let address = gateways[usize::try_from(dice.roll(3))?].address;
                    let user = format!("user-{}", dice.roll(3));
                    asked.spawn(async move { ask_as(address, "team-key", &user).await });
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
    }
    let mut served = 0;
    while let Some(answer) = asked.join_next().await {
        // Who was made to leave has no answer.
        if let Ok(answer) = answer {
            assert_eq!(answer?.status, 200);
            served += 1;
        }
    }
    assert!(served > 10, "{served}");
    way.go_on();
    // Whoever left is noticed a little later.
    for _ in 0..300 {
        if knows(&store, &used(&gateways).await?) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let expected = used(&gateways).await?;
    until(|| knows(&store, &expected)).await;
    assert_eq!(expected.len(), 4, "{expected:?}");
    // Nobody asks for anything any more, and still a store that has forgotten everything is told.
    store.kill();
    store.start_again()?;
    until(|| knows(&store, &expected)).await;
    Ok(())
}

#[tokio::test]
async fn after_any_row_of_mishaps_the_store_knows_what_was_spent() -> Result<()> {
    for seed in 1..=3 {
        after(seed).await?;
    }
    Ok(())
}
