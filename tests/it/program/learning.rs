//! Signals outlive the process however it ends, and the commands reach them whether it runs or not.

use std::{
    net::SocketAddr,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use personaroute_harness::{path, wire};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::running::{FILE, Running, configuration};

const SIMULATED: &str = "kind: simulated, chunk_delay: 0ms";

/// Rounds of the crash test; `PERSONAROUTE_CRASH_ROUNDS` sets another number.
const ROUNDS: usize = 3;

/// Clients that give feedback at the same time.
const CLIENTS: usize = 4;

fn kept() -> String {
    configuration(
        SIMULATED,
        "state: {file: state.redb}\nlearning: {signals_per_minute: 1000000, max_user_signals: 100000}",
    )
}

/// Gives one signal after another until the process is gone; returns how many were acknowledged.
async fn give(
    address: SocketAddr,
    client: usize,
    round: usize,
    acknowledged: tokio::sync::mpsc::UnboundedSender<()>,
) -> usize {
    for idx in 0..100_000 {
        let user = format!("user-{client}");
        let key = format!("{round}-{idx}");
        let body = json!({"user": user, "llm": "GPT-4o", "task": key, "rating": 0.5, "idempotency_key": key});
        match wire::post(address, "/v1/feedback", &[], &body).await {
            Ok(answer) if answer.status == 200 => drop(acknowledged.send(())),
            _ => return idx,
        }
    }
    0
}

#[tokio::test]
async fn every_acknowledged_signal_survives_a_kill_and_none_counts_twice() -> Result<()> {
    let rounds = std::env::var("PERSONAROUTE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut program = Running::start(&kept())?;
    let mut counts = [0; CLIENTS];
    for round in 0..rounds {
        let (address, _) = program.addresses().await?;
        let (sender, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let sender = sender.clone();
            clients.spawn(async move { (client, give(address, client, round, sender).await) });
        }
        // The kill comes at another moment of the load in each round.
        for _ in 0..20 + 7 * (round % 11) {
            acknowledged.recv().await.context("an acknowledgement")?;
        }
        program = Running::start_in(program.kill()?, &[])?;
        while let Some(given) = clients.join_next().await {
            let (client, given) = given?;
            counts[client] += given;
        }
        let (address, _) = program.addresses().await?;
        for (client, count) in counts.iter_mut().enumerate() {
            let export = wire::get(address, &format!("/v1/users/user-{client}/export")).await?.json();
            let signals = export["signals"].as_array().context("signals")?;
            let tasks: Vec<&str> =
                signals.iter().filter_map(|signal| signal["origin"]["task"]["name"].as_str()).collect();
            let mut once = tasks.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), tasks.len(), "a signal counts twice");
            // The last one of each client may have been committed without its acknowledgement having left.
            assert!((*count..=*count + 1).contains(&tasks.len()), "{count} acknowledged, {} kept", tasks.len());
            *count = tasks.len();
        }
    }
    Ok(())
}

fn run(folder: &std::path::Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(path::binary("personaroute"));
    command.args(arguments).arg("--config").arg(folder.join(FILE));
    command.env("PERSONAROUTE_PLUGIN", path::plugin()).env("PERSONAROUTE_BUNDLE", path::default_bundle());
    command.env("ORT_DYLIB_PATH", path::onnxruntime());
    Ok(command.output()?)
}

fn json_of(output: &Output) -> Result<Value> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn the_commands_show_export_and_erase_users_with_and_without_a_gateway() -> Result<()> {
    let mut program = Running::start(&kept())?;
    let (address, admin) = program.addresses().await?;
    for (user, rating) in [("ada", 0.9), ("bob", 0.1)] {
        let body = json!({"user": user, "llm": "GPT-4o", "text": "hi", "rating": rating});
        assert_eq!(wire::post(address, "/v1/feedback", &[], &body).await?.status, 200);
    }
    let folder = program.file().parent().context("its folder")?.to_path_buf();
    // The commands find the running gateway by the address of its admin listener.
    let file = folder.join(FILE);
    let written = std::fs::read_to_string(&file)?.replace("admin: 127.0.0.1:0", &format!("admin: {admin}"));
    let asked = folder.join("asked");
    std::fs::create_dir(&asked)?;
    std::fs::write(asked.join(FILE), &written)?;
    let shown = json_of(&run(&asked, &["users", "show", "ada"])?)?;
    assert_eq!((&shown["user"], &shown["signals"], &shown["state"]), (&json!("ada"), &json!(1), &json!("adapted")));
    let list = run(&asked, &["users", "list"])?;
    assert_eq!(String::from_utf8_lossy(&list.stdout), "ada\nbob\n");
    let exported = asked.join("ada.json");
    let saved = run(&asked, &["users", "export", "ada", "--output", &exported.to_string_lossy()])?;
    assert!(saved.status.success() && exported.exists());
    let out = asked.join("interactions");
    let report = json_of(&run(&asked, &["interactions", "export", "--out", &out.to_string_lossy()])?)?;
    assert_eq!(report["interactions"], 2, "{report}");
    assert_eq!(json_of(&run(&asked, &["users", "erase", "ada"])?)?["erased"]["signals"], 1);
    let folder = program.kill()?;
    // No gateway runs: the commands open its store.
    let shown = json_of(&run(folder.path(), &["users", "show", "ada"])?)?;
    assert_eq!(shown["signals"], 0, "erased stays erased");
    let imported = run(folder.path(), &["users", "import", "ada", "--input", &exported.to_string_lossy()])?;
    assert_eq!(json_of(&imported)?["imported"], 1);
    let out = folder.path().join("later");
    let report = json_of(&run(folder.path(), &["interactions", "export", "--out", &out.to_string_lossy()])?)?;
    assert_eq!(report["interactions"], 2, "{report}");
    Ok(())
}
