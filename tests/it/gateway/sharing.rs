//! Several gateways and one budget: a real store between them, that is there, is gone, is slow, or asks who they are.

mod chaos;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use personaroute_harness::{
    certificate::Authority,
    stall::Stall,
    store::Store,
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wire::{self, Answer},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::test_gateway::{TestGateway, until};

/// SHA-256 of `team-key` and of `service-key`.
const TEAM: &str = "e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8";
const SERVICE: &str = "bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e";

/// Nano-USD of an answer of [`dear`]: one token at a dollar a million, 49,990 at two.
const PRICE: u64 = 99_981_000;

/// A key with `budget` and one without, each user's limits, and the store at `url`.
fn sharing(budget: &str, per_user_limits: &str, url: &str, more: &str) -> String {
    format!(
        "
auth:
  mode: keys
  keys:
    - {{name: team, sha256: {TEAM}, can_impersonate: true, limits: {{budget: {budget}}}}}
    - {{name: service, sha256: {SERVICE}, can_impersonate: true}}
  per_user_limits: {per_user_limits}
state:
  {more}
  shared: {{url: '{url}', timeout: 10s}}
"
    )
}

fn at(store: &Store) -> String {
    format!("redis://127.0.0.1:{}", store.port())
}

/// An answer that the upstream counted at nearly 0.1 dollars.
fn dear() -> Reply {
    Reply::json(200, &json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 49_990}}))
}

/// Asks as `team` for an answer that can cost at most 0.1 dollars.
async fn ask(address: SocketAddr) -> Result<Answer> {
    ask_as(address, "team-key", "ada").await
}

async fn ask_as(address: SocketAddr, key: &str, user: &str) -> Result<Answer> {
    let bearer = format!("Bearer {key}");
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "cheap", "user": user, "max_tokens": 49_990, "messages": messages});
    wire::post(address, "/v1/chat/completions", &[("authorization", &bearer)], &body).await
}

fn is_refused(answer: &Answer) -> bool {
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

/// Asks until `state` is what the header says; returns how many were served on the way.
async fn ask_until(address: SocketAddr, state: &str) -> Result<u64> {
    for served in 1..1_000 {
        let answer = ask(address).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.header("x-personaroute-fallback") == state {
            return Ok(served);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the header never said {state}")
}

/// Waits until the store knows of `total` nano-USD, and that each process tells a part of it.
async fn settled(store: &Store, account: &str, total: u64) {
    until(|| store.kept(account).is_ok_and(|kept| kept.get("total") == Some(&total))).await;
    let parts: u64 = store.kept(account).unwrap().iter().filter(|(who, _)| *who != "total").map(|(_, part)| part).sum();
    assert_eq!(parts, total);
}

async fn store_unavailable(gateway: &TestGateway) -> Result<String> {
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("personaroute_store_unavailable_total "));
    Ok(line.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn two_gateways_together_do_not_overspend() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let configuration = sharing("{day: 0.55}", "{}", &at(&store), "");
    let start = || TestGateway::between(&upstream, &upstream, &configuration);
    let gateways = [start()?, start()?];
    let mut asked = JoinSet::new();
    for idx in 0..50 {
        let address = gateways[idx % 2].address;
        asked.spawn(async move { ask(address).await });
    }
    let mut served = 0;
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        assert_eq!(answer.header("x-personaroute-fallback"), "");
        served += u64::from(!is_refused(&answer));
    }
    assert!((1..=5).contains(&served), "{served} tenths of 0.55 dollars");
    // What was set aside and not used is free again, for either of them.
    while !is_refused(&ask(gateways[usize::from(served % 2 == 0)].address).await?) {
        served += 1;
    }
    assert!(is_refused(&ask(gateways[0].address).await?) && is_refused(&ask(gateways[1].address).await?));
    assert_eq!((served, upstream.count() as u64), (5, 5));
    settled(&store, "day/key:team", 5 * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn a_key_and_a_user_are_charged_together_or_not_at_all() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let budgets = ("{day: 5.0, month: 50.0}", "{budget: {month: 0.15}}");
    let configuration = sharing(budgets.0, budgets.1, &at(&store), "");
    let start = || TestGateway::between(&upstream, &upstream, &configuration);
    let (first, second) = (start()?, start()?);
    assert_eq!(fallback(&ask(first.address).await?), (200, ""));
    assert_eq!(ask(second.address).await?.status, 429, "ada has spent it elsewhere");
    assert_eq!(ask_as(second.address, "service-key", "ada").await?.status, 429, "whichever key speaks");
    assert_eq!(ask_as(second.address, "team-key", "bob").await?.status, 200);
    settled(&store, "day/key:team", 2 * PRICE).await;
    settled(&store, "month/key:team", 2 * PRICE).await;
    settled(&store, "month/user:ada", PRICE).await;
    settled(&store, "month/user:bob", PRICE).await;
    assert!(store.kept("day/user:ada")?.is_empty(), "a user without a budget for each day");
    for key in store.ask(&["--raw", "KEYS", "*"])?.lines() {
        assert!(key.starts_with("{personaroute}:"), "{key}");
        assert!(store.ask(&["--raw", "TTL", key])?.parse::<u64>()? > 86_400, "{key} outlives its period, not the year");
    }
    Ok(())
}

#[tokio::test]
async fn while_the_store_is_gone_each_is_bounded_by_what_it_knows_and_nothing_is_lost_or_told_twice() -> Result<()> {
    let gate = Gate::closed();
    let mut held = dear();
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let (mut store, upstream, slow) = (Store::start()?, FakeUpstream::always(dear())?, FakeUpstream::always(held)?);
    let configuration = sharing("{day: 0.55}", "{}", &at(&store), "");
    let first = TestGateway::between(&slow, &upstream, &configuration)?;
    let second = TestGateway::between(&upstream, &upstream, &configuration)?;
    // A request that is under way when the store goes.
    let mut running = JoinSet::new();
    let address = first.address;
    running.spawn(async move { ask(address).await });
    until(|| slow.count() == 1).await;
    assert_eq!(fallback(&ask(second.address).await?), (200, ""));
    store.kill();
    let mut served = ask_until(second.address, "state=store_unavailable").await?;
    assert_ne!(store_unavailable(&second).await?, "0");
    while !is_refused(&ask(second.address).await?) {
        served += 1;
    }
    assert_eq!(served, 3, "five tenths, one of them its own and one known of the other");
    gate.open();
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer??.status, 200);
    }
    store.start_again()?;
    settled(&store, "day/key:team", 5 * PRICE).await;
    until_shared(&second).await?;
    assert!(is_refused(&ask(first.address).await?), "the store, which had forgotten all, knows again");
    Ok(())
}

/// Waits until a request without a budget left is refused by the store.
async fn until_shared(gateway: &TestGateway) -> Result<()> {
    let before = store_unavailable(gateway).await?;
    assert!(is_refused(&ask(gateway.address).await?));
    assert_eq!(store_unavailable(gateway).await?, before);
    Ok(())
}

#[tokio::test]
async fn without_a_budget_nobody_waits_for_the_store() -> Result<()> {
    let (mut store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    store.kill();
    let gateway = TestGateway::between(&upstream, &upstream, &sharing("{day: 9}", "{}", &at(&store), ""))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, "state=store_unavailable"));
    assert_eq!(fallback(&ask_as(gateway.address, "service-key", "ada").await?), (200, ""));
    assert_eq!(store_unavailable(&gateway).await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_store_that_stalls_holds_no_request_and_what_it_hears_late_counts_once() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let way = Stall::before(store.port()).await?;
    let configuration = sharing("{day: 500}", "{}", &format!("redis://{}", way.address()), "");
    let patient = TestGateway::between(&upstream, &upstream, &configuration)?;
    let hasty = TestGateway::between(&upstream, &upstream, &configuration.replace("timeout: 10s", "timeout: 100ms"))?;
    assert_eq!(fallback(&ask(patient.address).await?), (200, ""));
    let mut served = 1 + ask_until(hasty.address, "").await?;
    way.stall();
    // Nothing ends the stall but the end of this test, so that being answered is not having waited for the store.
    served += ask_until(hasty.address, "state=store_unavailable").await?;
    for _ in 0..3 {
        assert_eq!(fallback(&ask(hasty.address).await?), (200, "state=store_unavailable"));
        served += 1;
    }
    way.go_on();
    served += ask_until(hasty.address, "").await?;
    settled(&store, "day/key:team", served * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn what_was_said_before_a_new_connection_and_is_heard_after_it_changes_nothing() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let way = Stall::before(store.port()).await?;
    let configuration = sharing("{day: 500}", "{}", &format!("redis://{}", way.address()), "");
    let gateway = TestGateway::between(&upstream, &upstream, &configuration.replace("timeout: 10s", "timeout: 100ms"))?;
    let mut served = 0;
    // A stall may as well hold an answer back instead of a batch: then there is nothing to be heard late.
    while !way.has_held("EVALSHA") {
        way.go_on();
        served += ask_until(gateway.address, "").await?;
        way.stall();
        served += ask_until(gateway.address, "state=store_unavailable").await?;
    }
    way.let_new();
    served += ask_until(gateway.address, "").await?;
    settled(&store, "day/key:team", served * PRICE).await;
    let scripts = || -> Result<u64> {
        let counts = store.ask(&["INFO", "commandstats"])?;
        let count = counts.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
        Ok(count.unwrap_or_default().parse()?)
    };
    let before = scripts()?;
    way.go_on();
    until(|| scripts().is_ok_and(|count| count > before)).await;
    settled(&store, "day/key:team", served * PRICE).await;
    Ok(())
}

#[tokio::test]
async fn what_was_spent_without_the_store_outlives_the_process_where_there_is_a_file() -> Result<()> {
    let (mut store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let folder = tempfile::tempdir()?;
    let file = format!("file: '{}'", folder.path().join("state.redb").display());
    let configuration = sharing("{month: 0.35}", "{}", &at(&store), &file);
    let gateway = TestGateway::between(&upstream, &upstream, &configuration)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    store.kill();
    let served = 1 + ask_until(gateway.address, "state=store_unavailable").await?;
    drop(gateway);
    store.start_again()?;
    let gateway = TestGateway::between(&upstream, &upstream, &configuration)?;
    settled(&store, "month/key:team", served * PRICE).await;
    assert_eq!(store.kept("month/key:team")?.len(), 2, "one process and the total: it has kept its name");
    drop(gateway);
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_drains_tells_the_store_all_it_spent() -> Result<()> {
    let gate = Gate::closed();
    let half = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 24_995}});
    let mut held = Reply::json(200, &half);
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let (store, upstream) = (Store::start()?, FakeUpstream::always(held)?);
    let mut gateway = TestGateway::between(&upstream, &upstream, &sharing("{day: 9}", "{}", &at(&store), ""))?;
    let mut running = JoinSet::new();
    let address = gateway.address;
    running.spawn(async move { ask(address).await });
    until(|| upstream.count() == 1).await;
    assert_eq!(store.kept("day/key:team")?["total"], PRICE, "set aside");
    gateway.leave();
    gate.open();
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer??.status, 200);
    }
    drop(gateway);
    assert_eq!(store.kept("day/key:team")?["total"], 49_991_000, "settled");
    Ok(())
}

#[tokio::test]
async fn over_tls_with_a_password_only_a_store_that_the_authority_vouches_for_is_asked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    authority.issue()?.write(folder.path())?;
    std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", &file("tls.crt"), "--tls-key-file", &file("tls.key")];
    let options: Vec<String> =
        options.iter().chain(&["--tls-auth-clients", "no"]).map(|word| (*word).to_owned()).collect();
    // The gateway resolves every reference to this.
    let store = Store::start_with(Some("sk-upstream"), &options)?;
    let upstream = FakeUpstream::always(dear())?;
    let url = format!("rediss://127.0.0.1:{port}', password: '${{PASSWORD}}', ca: '{}", file("ca.pem"));
    let trusting = sharing("{day: 9}", "{}", &url, "");
    let gateway = TestGateway::between(&upstream, &upstream, &trusting)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    settled(&store, "day/key:team", PRICE).await;
    let doubting = trusting.replace(&format!(", ca: '{}'", file("ca.pem")), "");
    assert_ne!(doubting, trusting);
    let gateway = TestGateway::between(&upstream, &upstream, &doubting)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, "state=store_unavailable"));
    let missing = trusting.replace("ca.pem", "gone.pem");
    let error = TestGateway::between(&upstream, &upstream, &missing).err().map(|error| format!("{error:#}"));
    assert!(
        error.as_ref().is_some_and(|error| error.contains("state.shared.ca") && error.contains("gone.pem")),
        "{error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_store_keeps_no_text_and_names_accounts_alone() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(dear())?);
    let limits = "{budget: {day: 9}}";
    let gateway = TestGateway::between(&upstream, &upstream, &sharing("{day: 9}", limits, &at(&store), ""))?;
    let user = "ada {x}:day/key:team \u{e9}";
    assert_eq!(fallback(&ask_as(gateway.address, "team-key", user).await?), (200, ""));
    settled(&store, "day/user:ada ?x?:day/key:team *", PRICE).await;
    let dump: Value = json!(store.ask(&["--raw", "KEYS", "*"])?);
    assert!(!dump.to_string().contains("hi\"") && dump.to_string().contains("day/key:team"), "{dump}");
    Ok(())
}
