//! Who may read and write the store: passwords, TLS, and what the store's keys show.

use anyhow::Result;
use personaroute_harness::{certificate::Authority, store::Store, upstream::FakeUpstream};

use super::{PRICE, ask, ask_as, at, configuration, configuration_with, fallback, settled, start, tenth_of_a_dollar};

#[tokio::test]
async fn over_tls_only_a_store_with_a_certificate_of_the_authority_is_used() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    authority.issue()?.write(folder.path())?;
    std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let tls = format!("tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-auth-clients no");
    // The gateway resolves every reference to this.
    let store = Store::start_with(Some("sk-upstream"), &tls)?;
    let upstream = FakeUpstream::always(tenth_of_a_dollar())?;
    let ca = format!(", ca: '{}'", file("ca.pem"));
    let shared = format!("url: 'rediss://127.0.0.1:{port}', password: '${{PASSWORD}}'");
    let trusting = configuration("{day: 9}", &format!("{shared}{ca}"));
    let gateway = start(&upstream, &trusting)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, ""));
    settled(&store, "day/key:team", PRICE).await;
    let gateway = start(&upstream, &configuration("{day: 9}", &shared))?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, "state=store_unavailable"), "an unknown authority");
    let wrong_name = trusting.replace("rediss://127.0.0.1", "rediss://127.0.0.2");
    let gateway = start(&upstream, &wrong_name)?;
    assert_eq!(fallback(&ask(gateway.address).await?), (200, "state=store_unavailable"), "another host's certificate");
    let error = start(&upstream, &trusting.replace("ca.pem", "gone.pem")).err().map(|error| format!("{error:#}"));
    let names_key_and_file = |error: &String| error.contains("state.shared.ca") && error.contains("gone.pem");
    assert!(error.as_ref().is_some_and(names_key_and_file), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn the_store_keeps_names_of_accounts_and_no_text() -> Result<()> {
    let (store, upstream) = (Store::start()?, FakeUpstream::always(tenth_of_a_dollar())?);
    let gateway = start(&upstream, &configuration_with("{day: 9}", "{budget: {day: 9}}", &at(&store), ""))?;
    let user = "ada {x}:day/key:team \u{e9}";
    assert_eq!(fallback(&ask_as(gateway.address, "team-key", user).await?), (200, ""));
    settled(&store, "day/user:ada ?x?:day/key:team *", PRICE).await;
    let keys = store.keys("*")?.join("\n");
    assert!(!keys.contains("hi\"") && keys.contains("day/key:team"), "{keys}");
    Ok(())
}
