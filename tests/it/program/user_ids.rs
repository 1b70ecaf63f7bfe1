//! How the log names users: by a keyed hash, or plainly if that is configured.

use anyhow::Result;
use personaroute_harness::wire;
use serde_json::json;

use super::running::{Running, configuration};

const SIMULATED: &str = "kind: simulated, chunk_delay: 0ms";

/// Sends a request of the user `ada`, and returns the user in its log line.
async fn logged_user(program: &mut Running) -> Result<String> {
    let (address, _) = program.addresses().await?;
    let body = json!({"model": "auto", "user": "ada", "messages": [{"role": "user", "content": "hi"}]});
    let answer = wire::post(address, "/v1/chat/completions", &[], &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let line = program.line(|line| line["message"] == "request finished").await?;
    Ok(line["user"].as_str().unwrap_or_default().to_owned())
}

fn with_log(log: &str) -> String {
    let configuration = configuration(SIMULATED, "state: {file: state.redb}");
    let written = "log: {format: json";
    assert!(configuration.contains(written), "{configuration}");
    configuration.replace(written, &format!("{written}, {log}"))
}

#[tokio::test]
async fn a_users_hash_stays_the_same_after_a_restart() -> Result<()> {
    let mut program = Running::start(&configuration(SIMULATED, "state: {file: state.redb}"))?;
    let before = logged_user(&mut program).await?;
    assert!(before.len() == 16 && before.bytes().all(|byte| byte.is_ascii_hexdigit()), "{before}");
    let mut program = Running::start_in(program.kill()?, &[])?;
    assert_eq!(logged_user(&mut program).await?, before, "the key is in the state file");
    Ok(())
}

#[tokio::test]
async fn a_users_hash_depends_on_the_configured_key() -> Result<()> {
    let configuration = with_log("user_key: '${LOG_KEY}'");
    let mut hashes = Vec::new();
    for key in ["one", "one", "two"] {
        let mut program = Running::start_knowing(&configuration, &[("LOG_KEY", key)])?;
        hashes.push(logged_user(&mut program).await?);
    }
    assert!(hashes[0] == hashes[1] && hashes[0] != hashes[2], "{hashes:?}");
    Ok(())
}

#[tokio::test]
async fn a_user_is_named_plainly_if_that_is_configured() -> Result<()> {
    let mut program = Running::start(&with_log("users: plain"))?;
    assert_eq!(logged_user(&mut program).await?, "ada");
    Ok(())
}
