//! TLS on the listener: who gets a connection, whom a certificate names, and what a bad file is called.

use std::{fs, path::Path};

use anyhow::Result;
use personaroute_gateway::{config::Tls, server::tls};
use personaroute_harness::{
    certificate::{Authority, Issued},
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::test_gateway::TestGateway;

/// SHA-256 of `team-key`.
const TEAM: &str = "e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8";

async fn ask(gateway: &TestGateway, authority: &Authority, shown: Option<&Issued>, key: &str) -> Result<Answer> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &headers, &body)?;
    let stream = authority.connect(gateway.address, shown).await?;
    wire::over(stream, request).await?.finish().await
}

fn section(folder: &Path, more: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!("tls: {{certificate: '{}', key: '{}'{more}}}", file("tls.crt"), file("tls.key"))
}

/// The files' fingerprint in the configuration's spelling.
fn fingerprint(issued: &Issued) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(&issued.certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn requests_come_over_tls_and_plain_http_is_not_answered() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    authority.issue()?.write(folder.path())?;
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &section(folder.path(), ""))?;
    assert_eq!(ask(&gateway, &authority, None, "").await?.status, 200);
    assert!(wire::get(gateway.address, "/healthz").await.is_err());
    gateway.metric("personaroute_handshakes_failed_total{reason=\"refused\"} 1").await?;
    let stranger = Authority::new()?;
    assert!(stranger.connect(gateway.address, None).await.is_err(), "another authority vouches for nothing here");
    assert_eq!(upstream.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_is_required_and_names_the_key() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    authority.issue()?.write(folder.path())?;
    fs::write(folder.path().join("ca.crt"), authority.pem())?;
    let (ada, unknown, foreign) = (authority.issue()?, authority.issue()?, Authority::new()?.issue()?);
    let more = format!(
        "{}\nauth: {{mode: keys, keys: [{{name: ada, certificate: {}, user: ada}}]}}",
        section(folder.path(), &format!(", client_ca: '{}'", folder.path().join("ca.crt").display())),
        fingerprint(&ada)
    );
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &more)?;
    let answer = ask(&gateway, &authority, Some(&ada), "unused").await?;
    assert_eq!((answer.status, answer.header("x-personaroute-user-state")), (200, "known"));
    assert_eq!(ask(&gateway, &authority, Some(&unknown), "unused").await?.status, 401, "vouched for, but no key's");
    assert!(ask(&gateway, &authority, None, "unused").await.is_err());
    assert!(ask(&gateway, &authority, Some(&foreign), "unused").await.is_err());
    gateway.metric("personaroute_handshakes_failed_total{reason=\"refused\"} 2").await?;
    assert_eq!(upstream.count(), 1);
    Ok(())
}

#[tokio::test]
async fn where_certificates_are_optional_a_key_serves_as_well() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    let ada = authority.issue()?;
    ada.write(folder.path())?;
    fs::write(folder.path().join("ca.crt"), authority.pem())?;
    let ca = format!(", client_ca: '{}', client_certificate: optional", folder.path().join("ca.crt").display());
    let key = format!("{{name: team, sha256: {TEAM}, certificate: {}}}", fingerprint(&ada));
    let more = format!("{}\nauth: {{mode: keys, keys: [{key}]}}", section(folder.path(), &ca));
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &more)?;
    assert_eq!(ask(&gateway, &authority, None, "team-key").await?.status, 200);
    assert_eq!(ask(&gateway, &authority, None, "stolen").await?.status, 401);
    assert_eq!(ask(&gateway, &authority, Some(&ada), "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_client_that_never_finishes_the_handshake_is_cut() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    authority.issue()?.write(folder.path())?;
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let more = format!("{}\ntimeouts: {{handshake: 100ms}}\nlimits: {{connections: 1}}", section(folder.path(), ""));
    let gateway = TestGateway::between(&upstream, &upstream, &more)?;
    let mut silent = TcpStream::connect(gateway.address).await?;
    let ended = silent.read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    gateway.metric("personaroute_handshakes_failed_total{reason=\"timeout\"} 1").await?;
    assert_eq!(ask(&gateway, &authority, None, "").await?.status, 200, "the only place is free again");
    Ok(())
}

#[test]
fn every_unusable_file_is_named_with_its_key() -> Result<()> {
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    authority.issue()?.write(folder.path())?;
    let file = |name: &str| folder.path().join(name);
    fs::write(file("garbage.pem"), "not PEM")?;
    let another = tempfile::tempdir()?;
    authority.issue()?.write(another.path())?;
    let good = || Tls { certificate: file("tls.crt"), key: file("tls.key"), client_ca: None, client_certificate: None };
    assert!(tls::settings(&good()).is_ok());
    let refusals = [
        (Tls { certificate: file("gone.crt"), ..good() }, "`tls.certificate`", "gone.crt cannot be read"),
        (
            Tls { certificate: file("garbage.pem"), ..good() },
            "`tls.certificate`",
            "garbage.pem contains no certificate",
        ),
        (Tls { key: file("tls.crt"), ..good() }, "`tls.key`", "tls.crt contains no private key"),
        (Tls { key: another.path().join("tls.key"), ..good() }, "`tls.key`", "cannot be used together"),
        (
            Tls { client_ca: Some(file("garbage.pem")), ..good() },
            "`tls.client_ca`",
            "garbage.pem contains no certificate",
        ),
    ];
    for (wrong, key, what) in refusals {
        let found = tls::settings(&wrong).map(|_| ()).expect_err(what).to_string();
        assert!(found.contains(key) && found.contains(what), "{found}");
    }
    Ok(())
}
