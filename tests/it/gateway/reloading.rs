//! A changed file is taken over without a dropped request; a bad one is not.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use personaroute_bundle::catalog::Catalog;
use personaroute_gateway::{
    app::{self, Reload},
    config,
    routing::Scorer,
    upstream::{Roster, http_client},
};
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wire,
};
use serde_json::json;

use super::stage::{ByPrice, Stage, two};

fn watching(file: &Path, scorer: &Arc<dyn Scorer>) -> Option<Reload> {
    let (file, scorer) = (file.to_path_buf(), Arc::clone(scorer));
    let watched = vec![file.clone()];
    let build = move || {
        let loaded = config::load(&file, &|_| Some("sk-upstream".to_owned()))?;
        let roster = Roster::build(&loaded.config, &Catalog::default(), &http_client::tls()?);
        app::snapshot(loaded.config, roster.expect("a roster"), &scorer)
    };
    Some(Reload { build: Box::new(build), watched })
}

/// Asks for the metric of reloads until `outcome` was counted once more than `before`.
async fn reloaded(stage: &Stage, outcome: &str) -> Result<()> {
    let counted = format!("personaroute_reloads_total{{outcome=\"{outcome}\"}} 1");
    while !wire::get(stage.admin, "/metrics").await?.text().contains(&counted) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_file_is_refused_and_a_good_one_taken_over_while_a_stream_runs() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::done()]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.yaml");
    let configuration = two(&upstream, &upstream, "");
    fs::write(&file, &configuration)?;
    let stage = Stage::start_watching(&configuration, ByPrice, |scorer| watching(&file, scorer))?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(stage.address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(stage.address, request).await?;
    assert!(stream.next().await?.is_some());

    fs::write(&file, "version: 1\nnonsense: true\n")?;
    reloaded(&stage, "refused").await?;
    assert_eq!(wire::get(stage.address, "/v1/models/auto").await?.status, 200);

    fs::write(&file, configuration.replace("{name: auto}", "{name: better}"))?;
    reloaded(&stage, "ok").await?;
    assert_eq!(wire::get(stage.address, "/v1/models/better").await?.status, 200);
    assert_eq!(wire::get(stage.address, "/v1/models/auto").await?.status, 404);

    gate.open();
    assert_eq!(stream.finish().await?.text(), "data: [DONE]\n\n");
    Ok(())
}
