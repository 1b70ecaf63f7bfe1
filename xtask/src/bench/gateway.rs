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
use super::cores::{Awake, OneCore};
use super::load::{Load, Measured};
use super::nginx::Nginx;
use super::{upstream, usage};
use crate::environment::Environment;
use crate::{process, workspace};

/// How much is asked for at a time, and where. A request alone: on one core for all, where what is added is processor time;
/// on cores that are kept awake; and on cores that may fall asleep between two steps of a request, which a longer step gives
/// them more time for. And as many requests as keep the machine busy.
const LOADS: [(usize, Where); 4] =
    [(1, Where::OneCore), (1, Where::AwakeCores), (1, Where::Anywhere), (MANY, Where::Anywhere)];
/// Connections that keep the machine busy; also of the run that shows whether memory stays flat.
const MANY: usize = 4;
/// Of one round, over connections of its own: where the kernel puts them among nginx's processes is chance, and many rounds
/// draw it often.
const REQUESTS: usize = 1_000;
const ROUNDS: usize = 50;
/// Before the first round of each way.
const WARM_UP: usize = 1_000;
/// Of the run that shows whether memory stays flat, and between two looks at it.
const LONG: usize = 100_000;
const LOOK: usize = 10_000;
const NGINX: &str = "nginx";
const PASSED: &str = "gateway, passed through";
const ROUTED: &str = "gateway, routed";

/// Measures and archives one table, beside the configuration.
pub(super) fn run(environment: &Environment, plugin: &Path, archive: &Archive) -> Result<()> {
    let upstream = upstream::start()?;
    let llms = llms()?;
    let listen = free_address()?;
    let configuration = configuration(listen, upstream, &llms);
    archive.write("gateway.yaml", &configuration)?;
    let gateway = Gateway::start(environment, plugin, &configuration, listen)?;
    let Some(direct) = llms.first() else { bail!("the default bundle's catalog is empty") };
    let nginx = Nginx::start(free_address()?, upstream)?;
    match &nginx {
        Some(nginx) => wait_for(nginx.address)?,
        // Installing it may start it as a service of this machine.
        None => eprintln!("bench: nginx is not installed (Debian's nginx-light), nothing is compared with it"),
    }
    let own = gateway.child.id();
    let mut settings = LOADS.map(|(connections, place)| {
        let load = |address, model| load(address, model, connections, REQUESTS);
        let mut ways = vec![Way::new("straight to the upstream", load(upstream, direct), None)];
        ways.extend(nginx.as_ref().map(|nginx| Way::new(NGINX, load(nginx.address, direct), Some(nginx.id()))));
        ways.push(Way::new(PASSED, load(listen, direct), Some(own)));
        ways.push(Way::new(ROUTED, load(listen, "auto"), Some(own)));
        Setting { connections, place, ways }
    });
    // Taken in turns, so that whatever else the machine does falls on all of them.
    for _ in 0..ROUNDS {
        for setting in &mut settings {
            let mut all = vec![own, std::process::id()];
            all.extend(nginx.iter().flat_map(|nginx| usage::family(nginx.id())));
            let one = if setting.place == Where::OneCore { Some(OneCore::share(all)?) } else { None };
            let awake = if setting.place == Where::AwakeCores { Some(Awake::keep()?) } else { None };
            setting.ways.iter_mut().try_for_each(Way::measure)?;
            drop((one, awake));
        }
    }
    let after = usage::memory_over(&load(listen, "auto", MANY, LOOK), LONG / LOOK, own)?;
    let table = report(&settings, gateway.before_models, &after)?;
    eprint!("{table}");
    archive.write("gateway.md", &table)
}

fn load(address: SocketAddr, model: &str, connections: usize, requests: usize) -> Load {
    let question = "Write a function that returns the n-th prime number, and say what it costs.";
    let body = json!({ "model": model, "user": "bench", "messages": [{ "role": "user", "content": question }] });
    Load { address, body: body.to_string(), connections, requests }
}

/// Where everything runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    OneCore,
    AwakeCores,
    Anywhere,
}

/// A number of connections, where everything runs, and what was measured there.
struct Setting {
    connections: usize,
    place: Where,
    ways: Vec<Way>,
}

/// One way to the upstream, and what was measured on it.
struct Way {
    name: &'static str,
    load: Load,
    process: Option<u32>,
    rounds: Vec<Measured>,
    processor: Duration,
}

impl Way {
    fn new(name: &'static str, load: Load, process: Option<u32>) -> Self {
        Self { name, load, process, rounds: Vec::new(), processor: Duration::ZERO }
    }

    /// Measures one round, after a shorter one to warm up in the first.
    fn measure(&mut self) -> Result<()> {
        if self.rounds.is_empty() {
            Load { requests: WARM_UP, ..self.load.clone() }.once()?;
        }
        let before = self.process.map(usage::processor);
        self.rounds.push(self.load.once()?);
        if let (Some(process), Some(before)) = (self.process, before) {
            self.processor += usage::processor(process).saturating_sub(before);
        }
        Ok(())
    }

    /// The median of the rounds' percentiles, in microseconds.
    fn micros(&self, share: f64) -> u128 {
        let mut found: Vec<u128> = self.rounds.iter().map(|round| round.percentile(share).as_micros()).collect();
        found.sort_unstable();
        found.get(found.len() / 2).copied().unwrap_or_default()
    }

    /// What each round's median is over that of `base` in the same round, in microseconds.
    fn added_by_round(&self, base: &Self) -> impl Iterator<Item = f64> {
        let micros = |round: &Measured| round.percentile(0.5).as_secs_f64() * 1e6;
        self.rounds.iter().zip(&base.rounds).map(move |(own, base)| micros(own) - micros(base))
    }

    fn throughput(&self) -> f64 {
        let count = f64::from(u32::try_from(self.rounds.len()).unwrap_or(1).max(1));
        self.rounds.iter().map(Measured::throughput).sum::<f64>() / count
    }

    /// Answers for each second of the process' time on a core.
    fn per_core(&self) -> String {
        let answers: u32 = self.rounds.iter().map(|round| u32::try_from(round.count()).unwrap_or_default()).sum();
        if self.processor.is_zero() {
            return "–".to_owned();
        }
        format!("{:.0}", f64::from(answers) / self.processor.as_secs_f64())
    }
}

fn report(settings: &[Setting], before_models: Option<u64>, after: &[u64]) -> Result<String> {
    let mut text = format!(
        "# What the gateway adds\n\n`cargo xtask bench gateway`: chats over connections that stay open, not streamed; \
         gateway, upstream and load on the same machine. {ROUNDS} rounds of {REQUESTS}, the ways taken in turns; latencies \
         are medians of the rounds.\n"
    );
    for setting in settings {
        table(&mut text, setting)?;
    }
    if let Some(kilobytes) = before_models {
        writeln!(text, "\nResident before ONNX Runtime and the models are loaded: {} MB.", kilobytes / 1_000)?;
    }
    let after: Vec<String> = after
        .iter()
        .map(|kilobytes| format!("{:.1}", f64::from(u32::try_from(*kilobytes).unwrap_or(u32::MAX)) / 1e3))
        .collect();
    writeln!(text, "\nResident, in MB, after each {LOOK} of {LONG} further routed chats: {}.", after.join(", "))?;
    Ok(text)
}

/// Adds the table of one setting, and what it says of the gateway.
fn table(text: &mut String, setting: &Setting) -> Result<()> {
    let Some(first) = setting.ways.first() else { return Ok(()) };
    let place = match setting.place {
        Where::OneCore => ", all on one core",
        Where::AwakeCores => ", cores kept awake",
        Where::Anywhere => "",
    };
    write!(
        text,
        "\n| connections: {}{place} | p50 µs | p95 µs | p99 µs | added p50 | added p99 | chats/s | chats/s per core used |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        setting.connections
    )?;
    let added = |way: &Way, share| way.micros(share).saturating_sub(first.micros(share));
    for way in &setting.ways {
        let (p50, p95, p99) = (way.micros(0.5), way.micros(0.95), way.micros(0.99));
        let (more50, more99) = (added(way, 0.5), added(way, 0.99));
        let (speed, per_core) = (way.throughput(), way.per_core());
        writeln!(text, "| {} | {p50} | {p95} | {p99} | {more50} | {more99} | {speed:.0} | {per_core} |", way.name)?;
    }
    let find = |name| setting.ways.iter().find(|way| way.name == name);
    let passed = find(PASSED);
    if let (Some(nginx), Some(passed)) = (find(NGINX), passed) {
        let ratio = added(passed, 0.5) as f64 / added(nginx, 0.5).max(1) as f64;
        let rounds = passed.added_by_round(first).zip(nginx.added_by_round(first));
        let (low, high) = middle_half(rounds.map(|(passed, nginx)| passed / nginx.max(1.0)));
        writeln!(
            text,
            "\nAdded at the median, passed through: {ratio:.2} times what nginx adds (half of the rounds: {low:.2} to {high:.2})."
        )?;
    }
    if let (Some(passed), Some(routed)) = (passed, find(ROUTED)) {
        let more = added(routed, 0.5).saturating_sub(added(passed, 0.5));
        let (low, high) = middle_half(routed.added_by_round(passed));
        writeln!(text, "\nAdded at the median by routing: {more} µs (half of the rounds: {low:.0} to {high:.0}).")?;
    }
    Ok(())
}

/// The quartiles between which half of the values lie.
fn middle_half(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |idx: usize| values.get(idx).copied().unwrap_or(f64::NAN);
    (at(values.len() / 4), at(values.len() * 3 / 4))
}

/// A running gateway; ended when dropped.
struct Gateway {
    child: Child,
    before_models: Option<u64>,
}

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
        serve.env("PERSONAROUTE_PLUGIN", plugin).env("PERSONAROUTE_BUNDLE", workspace::default_bundle());
        serve.current_dir(workspace::root());
        serve.args(["serve", "--config"]).arg(file);
        let mut child = serve.spawn().context("starting the gateway")?;
        let before_models = usage::resident_before(&mut child, "libonnxruntime");
        let gateway = Self { child, before_models };
        wait_for(listen)?;
        Ok(gateway)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on loopback that nothing uses at the moment.
fn free_address() -> Result<SocketAddr> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_values_lie_between_the_quartiles() {
        let values = [9.0, 1.0, 2.0, 3.0, 100.0, 4.0, 5.0, 6.0];
        assert_eq!(middle_half(values.into_iter()), (3.0, 9.0));
    }
}
