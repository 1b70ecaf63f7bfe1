//! SIGTERM: what runs is finished, then the program ends well. SIGHUP never ends it.

use anyhow::{Context as _, Result};
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait, wait_until, wire,
};
use serde_json::json;

use super::running::{FILE, Running, configuration};

#[tokio::test]
async fn sigterm_in_the_middle_of_a_stream_lets_it_complete() -> Result<()> {
    let gate = Gate::closed();
    let first = Frame::event(&json!({"choices": [{"delta": {"content": "one"}}]}));
    let upstream = FakeUpstream::always(Reply::events(vec![first, Frame::Wait(gate.clone()), Frame::end()]))?;
    let kind = format!("kind: openai, base_url: '{}'", upstream.base_url());
    let mut program = Running::start(&configuration(&kind, ""))?;
    let (address, _) = program.addresses().await?;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = wire::json_request(address, "/v1/chat/completions", &[], &body)?;
    let mut stream = wire::open(address, request).await?;
    assert!(stream.next().await?.is_some());
    program.terminate()?;
    // The listener closes first; only then is the stream allowed to go on.
    wait_until!(tokio::net::TcpStream::connect(address).await.is_err(), "the listener is closed");
    assert_eq!(program.ended()?, None);
    gate.open();
    assert_eq!(stream.finish().await?.text(), Frame::END);
    wait_until!(program.ended()?.is_some());
    assert!(program.ended()?.is_some_and(|status| status.success()));
    Ok(())
}

#[tokio::test]
async fn sighup_before_the_configuration_is_read_ends_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(FILE);
    // Whoever opens it for writing waits until the program opens it for reading.
    anyhow::ensure!(std::process::Command::new("mkfifo").arg(&file).status()?.success(), "mkfifo");
    let mut program = Running::start_in(folder, &[])?;
    let (send, opened) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || send.send(std::fs::OpenOptions::new().write(true).open(file)));
    let opened = tokio::time::timeout(wait::LIMIT, opened).await.context("the program opens its configuration")?;
    let mut pipe = opened??;
    program.hang_up()?;
    std::io::Write::write_all(&mut pipe, configuration("kind: simulated", "").as_bytes())?;
    drop(pipe);
    let (address, _) = program.addresses().await?;
    assert_eq!(wire::get(address, "/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn sighup_on_a_file_that_was_refused_says_so_again() -> Result<()> {
    let mut program = Running::start(&configuration("kind: simulated", ""))?;
    let (_, admin) = program.addresses().await?;
    std::fs::write(program.file(), "version: 2\n")?;
    for times in 1..=3 {
        let counted = format!("personaroute_reloads_total{{outcome=\"refused\"}} {times}");
        let is_logged = |lines: Vec<serde_json::Value>| {
            let is_refusal =
                |line: &&serde_json::Value| line["message"].as_str().is_some_and(|text| text.contains("refused"));
            lines.iter().filter(is_refusal).count() == times
        };
        wait_until!(is_logged(program.lines()), "{times} refusals in the log");
        wait_until!(wire::get(admin, "/metrics").await?.text().contains(&counted), "`{counted}` in /metrics");
        program.hang_up()?;
    }
    Ok(())
}
