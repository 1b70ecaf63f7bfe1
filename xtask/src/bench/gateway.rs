//! What the gateway adds: the same load straight to the upstream, through nginx, passed through, and routed.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::archive::Archive;
use super::load::{Load, Measured};
use super::nginx::Nginx;
use super::upstream;
use crate::environment::Environment;
use crate::{process, workspace};

const CONNECTIONS: usize = 4;
const REQUESTS: usize = 20_000;

/// Measures and archives one table, beside the configuration.
pub(super) fn run(environment: &Environment, plugin: &Path, archive: &Archive) -> Result<()> {
    let upstream = upstream::start()?;
    let llms = llms()?;
    let listen = free_address()?;
    let configuration = configuration(listen, upstream, &llms);
    archive.write("gateway.yaml", &configuration)?;
    let gateway = Gateway::start(environment, plugin, &configuration, listen)?;
    let Some(direct) = llms.first() else { bail!("the default bundle's catalog is empty") };
    let mut rows = vec![("straight to the upstream", measure(upstream, direct)?)];
    if let Some(nginx) = Nginx::start(upstream)? {
        wait_for(nginx.address)?;
        rows.push(("nginx", measure(nginx.address, direct)?));
    }
    rows.push(("gateway, passed through", measure(listen, direct)?));
    rows.push(("gateway, routed", measure(listen, "auto")?));
    let table = table(&rows, gateway.resident_kilobytes())?;
    eprint!("{table}");
    archive.write("gateway.md", &table)
}

fn measure(address: SocketAddr, model: &str) -> Result<Measured> {
    let question = "Write a function that returns the n-th prime number, and say what it costs.";
    let body = json!({ "model": model, "user": "bench", "messages": [{ "role": "user", "content": question }] });
    Load { address, body: body.to_string(), connections: CONNECTIONS, requests: REQUESTS }.run()
}

fn table(rows: &[(&str, Measured)], resident: Option<u64>) -> Result<String> {
    let mut text = format!(
        "# What the gateway adds\n\n`cargo xtask bench gateway`: {REQUESTS} chats over {CONNECTIONS} connections that stay \
         open, not streamed; gateway, upstream and load on the same machine.\n\n\
         | way | p50 µs | p95 µs | p99 µs | chats/s |\n| --- | ---: | ---: | ---: | ---: |\n"
    );
    for (name, measured) in rows {
        let micros = |share| measured.percentile(share).as_micros();
        let (p50, p95, p99) = (micros(0.5), micros(0.95), micros(0.99));
        writeln!(text, "| {name} | {p50} | {p95} | {p99} | {:.0} |", measured.throughput())?;
    }
    if let Some(kilobytes) = resident {
        writeln!(text, "\nThe gateway's resident memory after the load: {} MB.", kilobytes / 1_000)?;
    }
    Ok(text)
}

/// A running gateway; ended when dropped.
struct Gateway(Child);

impl Gateway {
    fn start(environment: &Environment, plugin: &Path, configuration: &str, listen: SocketAddr) -> Result<Self> {
        eprintln!("bench: building the gateway");
        let mut cargo = process::cargo();
        environment.give(&mut cargo)?;
        cargo.args(["build", "--release", "--locked", "--package", "personaroute-gateway", "--bin", "personaroute"]);
        process::run(&mut cargo, "building the gateway")?;
        let file = workspace::cache()?.join("bench.yaml");
        fs::write(&file, configuration).with_context(|| file.display().to_string())?;
        let mut serve = Command::new(workspace::target()?.join("release/personaroute"));
        environment.give(&mut serve)?;
        serve.env("PERSONAROUTE_PLUGIN", plugin).current_dir(workspace::root());
        serve.args(["serve", "--config"]).arg(file);
        let gateway = Self(serve.spawn().context("starting the gateway")?);
        wait_for(listen)?;
        Ok(gateway)
    }

    fn resident_kilobytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().split(' ').next()?.parse().ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address on loopback that nothing uses at the moment.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..600 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    bail!("nothing listens on {address} after 30 seconds")
}

/// The LLMs of the default bundle.
fn llms() -> Result<Vec<String>> {
    let file = workspace::root().join("configs/bundle/llms.yaml");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let ids = text.lines().filter_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix("id: "));
    Ok(ids.map(|id| id.trim_matches(['"', '\'', ' ']).to_owned()).collect())
}

fn configuration(listen: SocketAddr, upstream: SocketAddr, llms: &[String]) -> String {
    let mut text = format!(
        "# What `cargo xtask bench gateway` served.\nversion: 1\nlisten: {listen}\nadmin: null\nbundle: default\n\
         upstreams:\n  - {{ name: bench, kind: openai, base_url: \"http://{upstream}/v1\" }}\nmodels:\n"
    );
    for llm in llms {
        text.push_str(&format!("  - {{ llm: {llm:?}, upstream: bench, name: {llm:?} }}\n"));
    }
    text.push_str("virtual_models:\n  - name: auto\nlog: { filter: warn }\n");
    text
}
