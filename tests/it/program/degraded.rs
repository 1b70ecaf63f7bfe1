//! Real parts that fail cost no request: the fallback order serves, and header, log and metric say why.

use std::net::SocketAddr;

use anyhow::Result;
use personaroute_harness::{
    bundle::BundleSpec,
    path,
    store::Store,
    wait::Wait,
    wire::{self, Answer},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::running::{Running, configuration};

const SIMULATED: &str = "kind: simulated, chunk_delay: 0ms";

async fn ask(address: SocketAddr, text: String) -> Result<Answer> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
    wire::post(address, "/v1/chat/completions", &[], &body).await
}

/// Holds header, log and metric to `reason`.
async fn said(program: &mut Running, answer: &Answer, reason: &str) -> Result<()> {
    assert_eq!((answer.status, answer.header("x-personaroute-model")), (200, "GPT-4o"), "{}", answer.text());
    assert_eq!(answer.header("x-personaroute-fallback"), format!("router={reason}"));
    let line = program.line(|line| line["message"] == "request finished" && line["fallback"] == reason).await?;
    assert_eq!((&line["status"], &line["model"]), (&json!(200), &json!("GPT-4o")));
    let (_, admin) = program.addresses().await?;
    let metrics = wire::get(admin, "/metrics").await?.text();
    let counted = format!("personaroute_decisions_degraded_total{{reason=\"{reason}\"}}");
    assert!(metrics.contains(&counted), "{counted} in {metrics}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_traps_is_served_in_the_fallback_order() -> Result<()> {
    let plugin = format!("plugin: {{wasm: '{}'}}", path::guest("traps").display());
    let mut program = Running::start(&configuration(SIMULATED, &plugin))?;
    let (address, _) = program.addresses().await?;
    let answer = ask(address, "hi".to_owned()).await?;
    said(&mut program, &answer, "trapped").await
}

#[tokio::test]
async fn an_overloaded_encoder_is_passed_by_in_the_fallback_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bundle = folder.path().join("bundle");
    BundleSpec { embedding: Some(384), ..BundleSpec::default() }.write(&bundle)?;
    let more = format!(
        "bundle: '{}'\nencoder: '{}'\nrouter: {{threads: 16, encoder_queue: 1, deadline: 60s}}\n",
        bundle.display(),
        path::encoder().display()
    );
    // The LLMs of this bundle stand in for the default one's.
    let configuration = configuration(SIMULATED, &more).replace("llm: GPT-4o-mini", "llm: llm-0");
    let mut program = Running::start(&configuration.replace("GPT-4o", "llm-4"))?;
    let (address, _) = program.addresses().await?;
    let mut asked = JoinSet::new();
    for idx in 0..16 {
        // Long enough that the others arrive while the first is encoded.
        asked.spawn(ask(address, format!("{idx} {}", "tell me about the history of the sea ".repeat(60))));
    }
    let mut refused = 0;
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        assert_eq!(answer.status, 200, "{}", answer.text());
        refused += usize::from(answer.header("x-personaroute-fallback") == "router=overloaded");
    }
    assert!(refused >= 1, "the encoder took all of them");
    let line = program.line(|line| line["message"] == "request finished" && line["fallback"] == "overloaded").await?;
    assert_eq!((&line["status"], &line["model"]), (&json!(200), &json!("llm-4")));
    let (_, admin) = program.addresses().await?;
    let metrics = wire::get(admin, "/metrics").await?.text();
    let counted = format!("personaroute_decisions_degraded_total{{reason=\"overloaded\"}} {refused}");
    assert!(metrics.contains(&counted), "{counted} in {metrics}");
    Ok(())
}

/// Asks until the header that tells what went wrong `is` so.
async fn ask_until(address: SocketAddr, is: impl Fn(&str) -> bool) -> Result<Answer> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let wait = Wait::new("the fallback header");
    loop {
        let headers = [("authorization", "Bearer team-key")];
        let answer = wire::post(address, "/v1/chat/completions", &headers, &body).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if is(answer.header("x-personaroute-fallback")) {
            return Ok(answer);
        }
        wait.pause().await;
    }
}

#[tokio::test]
async fn spending_that_cannot_be_written_stops_no_request_and_is_written_when_the_disk_is_back() -> Result<()> {
    let more = "state: {file: state.redb}
auth:
  mode: keys
  keys: [{name: team, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8, user: ada,
          limits: {requests_per_minute: null, tokens_per_minute: null, budget: {month: 1000.0}}}]";
    let mut program = Running::start(&configuration(SIMULATED, more))?;
    let (address, admin) = program.addresses().await?;
    ask_until(address, str::is_empty).await?;
    program.limit_files("1")?;
    ask_until(address, |fallback| fallback == "state=persist_failed").await?;
    program.line(|line| line["message"] == "request finished" && line["state"] == "persist_failed").await?;
    let metrics = wire::get(admin, "/metrics").await?.text();
    let counted = metrics.lines().find(|line| line.starts_with("personaroute_persist_failures_total"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    program.limit_files("unlimited")?;
    ask_until(address, str::is_empty).await?;
    program.line(|line| line["message"] == "spending is persisted again").await?;
    Ok(())
}

#[tokio::test]
async fn a_store_that_refuses_the_password_stops_no_request_and_the_log_says_why_without_it() -> Result<()> {
    let store = Store::start_with(Some("right-password"), "")?;
    let more = format!(
        "state: {{shared: {{url: 'redis://127.0.0.1:{}', password: '${{STATE_PASSWORD}}', timeout: 10s}}}}
auth:
  mode: keys
  keys: [{{name: team, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8, user: ada,
          limits: {{budget: {{month: 1000.0}}}}}}]",
        store.port()
    );
    let wrong = [("STATE_PASSWORD", "wrong-password")];
    let mut program = Running::start_knowing(&configuration(SIMULATED, &more), &wrong)?;
    let (address, admin) = program.addresses().await?;
    ask_until(address, |fallback| fallback == "state=store_unavailable").await?;
    program.line(|line| line["message"] == "request finished" && line["state"] == "store_unavailable").await?;
    let is_report =
        |line: &serde_json::Value| line["message"].as_str().is_some_and(|text| text.contains("store is unavailable"));
    let line = program.line(is_report).await?;
    assert_eq!(line["error"], "the username and password are refused");
    assert_eq!(line["store"], format!("redis://127.0.0.1:{}/0", store.port()));
    let metrics = wire::get(admin, "/metrics").await?.text();
    let counted = metrics.lines().find(|line| line.starts_with("personaroute_store_unavailable_total"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    // Once the store accepts the gateway's password, the gateway uses it again.
    store.ask(&["CONFIG", "SET", "requirepass", "wrong-password"])?;
    ask_until(address, str::is_empty).await?;
    program.line(|line| line["message"].as_str().is_some_and(|text| text.contains("store is available again"))).await?;
    let log = format!("{:?}", program.lines());
    assert!(!log.contains("wrong-password") && !log.contains("right-password"), "{log}");
    Ok(())
}
