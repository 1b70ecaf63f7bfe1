//! A changed file is taken over without a dropped request; a bad one is not.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use personaroute_bundle::catalog::Catalog;
use personaroute_gateway::{
    app::{self, Reload},
    config::{self, Overrides},
    routing::Scorer,
    upstream::{ModelRegistry, http_client},
};
use personaroute_harness::{
    certificate::{Authority, Issued},
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway, environment, two};

fn watching(file: &Path, scorer: &Arc<dyn Scorer>) -> Option<Reload> {
    let (file, scorer) = (file.to_path_buf(), Arc::clone(scorer));
    let watched = vec![file.clone()];
    let build = move || {
        let loaded = config::load(&file, &Overrides::default(), &environment)?;
        let models = ModelRegistry::build(&loaded.config, &Catalog::default(), &http_client::tls()?);
        app::snapshot(loaded.config, models.expect("valid models"), &scorer)
    };
    Some(Reload { build: Box::new(build), watched })
}

/// Waits until the gateway has counted `times` reloads with `outcome`.
async fn reloaded(gateway: &TestGateway, outcome: &str, times: u32) -> Result<()> {
    gateway.metric(&format!("personaroute_reloads_total{{outcome=\"{outcome}\"}} {times}")).await?;
    Ok(())
}

#[tokio::test]
async fn a_bad_file_is_refused_and_a_good_one_taken_over_while_a_stream_runs() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::end()]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.yaml");
    let configuration = two(&upstream, &upstream, "");
    fs::write(&file, &configuration)?;
    let gateway = TestGateway::start_watching(&configuration, ByPrice, |scorer| watching(&file, scorer))?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(gateway.address, request).await?;
    assert!(stream.next().await?.is_some());

    fs::write(&file, "version: 1\nnonsense: true\n")?;
    reloaded(&gateway, "refused", 1).await?;
    assert_eq!(wire::get(gateway.address, "/v1/models/auto").await?.status, 200);

    fs::write(&file, configuration.replace("{name: auto}", "{name: better}"))?;
    reloaded(&gateway, "ok", 1).await?;
    assert_eq!(wire::get(gateway.address, "/v1/models/better").await?.status, 200);
    assert_eq!(wire::get(gateway.address, "/v1/models/auto").await?.status, 404);

    gate.open();
    assert_eq!(stream.finish().await?.text(), Frame::END);
    Ok(())
}

/// Certificate and key behind a link that a volume swaps, as Kubernetes mounts secrets.
fn swap(folder: &Path, name: &str, issued: &Issued) -> Result<()> {
    let version = folder.join(name);
    fs::create_dir(&version)?;
    issued.write(&version)?;
    let staged = folder.join("..data_tmp");
    std::os::unix::fs::symlink(name, &staged)?;
    Ok(fs::rename(staged, folder.join("..data"))?)
}

#[tokio::test]
async fn certificates_and_keys_are_taken_over_where_a_link_is_swapped_while_a_stream_runs() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::end()]))?;
    let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
    let (old, new) = (authority.issue()?, authority.issue()?);
    swap(folder.path(), "v1", &old)?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let keys = at("keys.yaml");
    // SHA-256 of `team-key` and of `service-key`.
    fs::write(&keys, "- {name: a, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8}\n")?;
    let more = format!(
        "tls: {{certificate: '{}', key: '{}'}}\nauth: {{mode: keys, keys_file: '{keys}'}}",
        at("..data/tls.crt"),
        at("..data/tls.key")
    );
    let configuration = two(&upstream, &upstream, &more);
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, &configuration)?;
    let gateway = TestGateway::start_watching(&configuration, ByPrice, |scorer| watching(&file, scorer))?;
    let models = |key: &'static str| {
        let request = http::Request::get("/v1/models").header("host", "a").header("x-api-key", key);
        let (authority, address) = (&authority, gateway.address);
        async move {
            let stream = authority.connect(address, None).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
            let answer = wire::over(stream, request.body(bytes::Bytes::new())?).await?.finish().await?;
            Ok::<_, anyhow::Error>((answer.status, shown))
        }
    };
    assert_eq!(models("team-key").await?, (200, Some(old.certificate.clone())));
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let headers = [("x-api-key", "team-key")];
    let request = wire::json_request(gateway.address, "/v1/chat/completions", &headers, &body)?;
    let mut stream = wire::over(authority.connect(gateway.address, None).await?, request).await?;
    assert!(stream.next().await?.is_some());

    swap(folder.path(), "v2", &new)?;
    reloaded(&gateway, "ok", 1).await?;
    assert_eq!(models("team-key").await?, (200, Some(new.certificate.clone())));

    fs::write(folder.path().join("v2/tls.key"), "nonsense")?;
    reloaded(&gateway, "refused", 1).await?;
    assert_eq!(models("team-key").await?, (200, Some(new.certificate.clone())), "the old pair stays");

    swap(folder.path(), "v3", &old)?;
    fs::write(&keys, "- {name: b, sha256: bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e}\n")?;
    wait_until!(models("service-key").await?.0 == 200);
    assert_eq!(models("team-key").await?.0, 401);

    gate.open();
    assert_eq!(stream.finish().await?.text(), Frame::END);
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_no_longer_names_a_deleted_file_is_taken_over() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let (folder, authority) = (tempfile::tempdir()?, Authority::new()?);
    authority.issue()?.write(folder.path())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let secured =
        two(&upstream, &upstream, &format!("tls: {{certificate: '{}', key: '{}'}}", at("tls.crt"), at("tls.key")));
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, &secured)?;
    let gateway = TestGateway::start_watching(&secured, ByPrice, |scorer| watching(&file, scorer))?;
    authority.connect(gateway.address, None).await?;
    fs::remove_file(folder.path().join("tls.crt"))?;
    fs::remove_file(folder.path().join("tls.key"))?;
    fs::write(&file, two(&upstream, &upstream, ""))?;
    reloaded(&gateway, "ok", 1).await?;
    assert_eq!(wire::get(gateway.address, "/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_change_between_the_reading_and_the_first_look_is_taken_over() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys.yaml");
    // SHA-256 of `team-key` and of `service-key`.
    fs::write(&keys, "- {name: a, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8}\n")?;
    let more = format!("auth: {{mode: keys, keys_file: '{}'}}", keys.display());
    let configuration = two(&upstream, &upstream, &more);
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, &configuration)?;
    let gateway = TestGateway::start_watching(&configuration, ByPrice, |scorer| {
        // The configuration is read by now, and nothing looks at its files yet.
        fs::write(&keys, "- {name: b, sha256: bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e}\n")
            .expect("a file");
        watching(&file, scorer)
    })?;
    reloaded(&gateway, "ok", 1).await?;
    let request = http::Request::get("/v1/models").header("host", "a").header("x-api-key", "service-key");
    assert_eq!(wire::open(gateway.address, request.body(bytes::Bytes::new())?).await?.response.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_process_that_listens_publicly_stays_behind_its_keys() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.yaml");
    let open = two(&upstream, &upstream, "");
    // SHA-256 of `team-key`.
    let key = "{name: a, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8}";
    let closed = two(&upstream, &upstream, &format!("auth: {{mode: keys, keys: [{key}]}}"));
    let closed = closed.replace("\nlisten: 127.0.0.1:0", "\nlisten: 0.0.0.0:0");
    fs::write(&file, &closed)?;
    let gateway = TestGateway::start_watching(&closed, ByPrice, |scorer| watching(&file, scorer))?;
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, gateway.address.port()));
    assert_eq!(wire::get(address, "/v1/models").await?.status, 401);
    fs::write(&file, open)?;
    reloaded(&gateway, "refused", 1).await?;
    assert_eq!(wire::get(address, "/v1/models").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_described_as_before_keeps_its_breaker() -> Result<()> {
    let broken = FakeUpstream::always(Reply::json(500, &json!({"error": {}})))?;
    let well = FakeUpstream::always(Reply::chat("ok"))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.yaml");
    let configuration = two(&broken, &well, "breaker: {failures: 1, cooldown: 10m, max_cooldown: 10m}");
    fs::write(&file, &configuration)?;
    let gateway = TestGateway::start_watching(&configuration, ByPrice, |scorer| watching(&file, scorer))?;
    let ask = |model: &'static str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let address = gateway.address;
        async move { wire::post(address, "/v1/chat/completions", &[], &body).await }
    };
    assert_eq!(ask("auto").await?.status, 200);
    let asked = broken.count();
    assert!(asked > 0, "the cheap one is asked first");

    let renamed = configuration.replace("{name: auto}", "{name: better}");
    fs::write(&file, &renamed)?;
    reloaded(&gateway, "ok", 1).await?;
    assert_eq!(ask("better").await?.status, 200);
    assert_eq!(broken.count(), asked, "still left alone");

    fs::write(&file, renamed.replace("name: a, kind: openai,", "name: a, kind: openai, headers: {x-team: blue},"))?;
    reloaded(&gateway, "ok", 2).await?;
    assert_eq!(ask("better").await?.status, 200);
    assert!(broken.count() > asked, "described anew, it is tried anew");
    Ok(())
}

#[tokio::test]
async fn nothing_is_told_of_an_upstream_that_is_probed_no_longer() -> Result<()> {
    let ill = FakeUpstream::always(Reply::json(500, &json!({})))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.yaml");
    let configuration = two(&ill, &ill, "");
    let probed = "api_key: '${KEY}', health: {path: /models, interval: 20ms, failures: 1}";
    let probing = configuration.replacen("api_key: '${KEY}'", probed, 1);
    fs::write(&file, &probing)?;
    let gateway = TestGateway::start_watching(&probing, ByPrice, |scorer| watching(&file, scorer))?;
    let told = "personaroute_upstream_up{upstream=\"a\"}";
    gateway.metric(told).await?;
    fs::write(&file, configuration)?;
    wait_until!(!wire::get(gateway.admin, "/metrics").await?.text().contains(told), "no {told} in /metrics");
    Ok(())
}
