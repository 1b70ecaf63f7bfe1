//! What the gateway adds: the same load straight to the upstream, through nginx, passed through, and routed; and beside another
//! gateway.

pub(super) mod options;
mod configuration;
mod server;
mod variant;
mod report;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use self::configuration::{Addresses, TLS_LLM, configuration, llms};
use self::options::Options;
use self::server::{Assets, Gateway, free_address, wait_for};
use self::variant::{Placement, Setting, Variant};
use super::archive::Archive;
use super::cores::{BusyCores, OneCore};
use super::load::Load;
use super::nginx::Nginx;
use super::upstream::{self, TlsUpstream};
use super::usage;
use crate::environment::Environment;

/// Connections that keep the machine busy; also of the run that shows whether memory stays flat.
const MANY: usize = 4;
/// Connections, where everything runs, and whether the upstream speaks TLS.
const SETTINGS: [(usize, Placement, bool); 6] = [
    (1, Placement::OneCore, false),
    (1, Placement::BusyCores, false),
    (1, Placement::AllCores, false),
    (MANY, Placement::AllCores, false),
    (1, Placement::OneCore, true),
    (MANY, Placement::AllCores, true),
];
/// Of one round, over new connections: where the kernel puts them among nginx's processes is chance, and many rounds draw it
/// often.
const REQUESTS: usize = 1_000;
/// Requests of the run that shows whether memory stays flat, and between two looks at it.
const LONG: usize = 100_000;
const LOOK: usize = 10_000;
const STRAIGHT: &str = "straight to the upstream";
const NGINX: &str = "nginx";
const PASSED: &str = "gateway, passed through";
const ROUTED: &str = "gateway, routed";
const OTHER_PASSED: &str = "other gateway, passed through";
const OTHER_ROUTED: &str = "other gateway, routed";

/// The services that get the load.
struct Services {
    upstream: SocketAddr,
    nginx: Option<Nginx>,
    gateway: Gateway,
    other: Option<Gateway>,
    /// Whether the other gateway has an upstream that speaks TLS.
    other_has_tls: bool,
    /// An LLM of the default bundle.
    llm: String,
}

/// Measures and archives one table, beside the configuration.
pub(super) fn run(environment: &Environment, plugin: &Path, archive: &Archive, options: &Options) -> Result<()> {
    let services = start(environment, plugin, archive, options)?;
    let mut settings = SETTINGS.map(|(connections, placement, is_tls)| {
        let variants = if is_tls { services.tls_variants(connections) } else { services.variants(connections) };
        Setting { connections, placement, is_tls, variants }
    });
    // Taken in turns, so that whatever else the machine does falls on all of them.
    for round in 0..options.rounds {
        for setting in &mut settings {
            let placed = (
                (setting.placement == Placement::OneCore).then(|| OneCore::share(services.processes())).transpose()?,
                (setting.placement == Placement::BusyCores).then(BusyCores::start).transpose()?,
            );
            setting.measure(round)?;
            drop(placed);
        }
    }
    let own = services.gateway.id();
    let after = usage::memory_over(&load(services.gateway.address, "auto", MANY, LOOK), LONG / LOOK, own)?;
    let against = options.against.as_ref().map(|binary| binary.display().to_string());
    let mut table = report::report(&settings, options.rounds, against.as_deref())?;
    report::memory(&mut table, services.gateway.before_models, &after, LOOK)?;
    eprint!("{table}");
    archive.write("gateway.md", &table)
}

/// Starts everything, and archives the configurations.
fn start(environment: &Environment, plugin: &Path, archive: &Archive, options: &Options) -> Result<Services> {
    let (upstream, tls_upstream) = (upstream::start()?, TlsUpstream::start()?);
    let llms = llms()?;
    let llm = llms.first().context("the default bundle's catalog is empty")?.clone();
    let nginx = Nginx::start(free_address()?, upstream)?;
    match &nginx {
        Some(nginx) => wait_for(nginx.address)?,
        // Installing it may start it as a service of this machine.
        None => eprintln!("bench: nginx is not installed (Debian's nginx-light), nothing is compared with it"),
    }
    let serve = |name: &str, binary: &Path, file: Option<&Path>| {
        let listen = free_address()?;
        let text = configuration(file, &Addresses { listen, upstream, tls_upstream: &tls_upstream }, &llms)?;
        archive.write(name, &text)?;
        let assets = if file.is_some() { Assets::Configured } else { Assets::Given { plugin } };
        let gateway = Gateway::start(environment, binary, &assets, (name, &text), listen)?;
        Ok::<_, anyhow::Error>((gateway, text.contains(TLS_LLM)))
    };
    let built = options.binary.is_none().then(|| server::build(environment)).transpose()?;
    let binary = options.binary.as_ref().or(built.as_ref()).context("a gateway to measure")?;
    let (gateway, _) = serve("gateway.yaml", binary, options.config.as_deref())?;
    let against = options.against.as_deref();
    let other = against.map(|binary| serve("other-gateway.yaml", binary, options.against_config.as_deref()));
    let (other, other_has_tls) = other.transpose()?.map_or((None, false), |(other, has_tls)| (Some(other), has_tls));
    Ok(Services { upstream, nginx, gateway, other, other_has_tls, llm })
}

impl Services {
    fn variants(&self, connections: usize) -> Vec<Variant> {
        let load = |address, model| load(address, model, connections, REQUESTS);
        let mut variants = vec![Variant::new(STRAIGHT, load(self.upstream, &self.llm), None)];
        variants.extend(
            self.nginx.as_ref().map(|nginx| Variant::new(NGINX, load(nginx.address, &self.llm), Some(nginx.id()))),
        );
        let mut add = |gateway: &Gateway, passed, routed| {
            variants.push(Variant::new(passed, load(gateway.address, &self.llm), Some(gateway.id())));
            variants.push(Variant::new(routed, load(gateway.address, "auto"), Some(gateway.id())));
        };
        add(&self.gateway, PASSED, ROUTED);
        self.other.iter().for_each(|other| add(other, OTHER_PASSED, OTHER_ROUTED));
        variants
    }

    /// Returns the variants whose upstream speaks TLS, beside the plain one without a gateway.
    fn tls_variants(&self, connections: usize) -> Vec<Variant> {
        let load = |address, model| load(address, model, connections, REQUESTS);
        let passed = |name, gateway: &Gateway| Variant::new(name, load(gateway.address, TLS_LLM), Some(gateway.id()));
        let mut variants = vec![Variant::new(STRAIGHT, load(self.upstream, &self.llm), None)];
        variants.push(passed(PASSED, &self.gateway));
        let other = self.other.as_ref().filter(|_| self.other_has_tls);
        variants.extend(other.map(|other| passed(OTHER_PASSED, other)));
        variants
    }

    /// Returns every process that takes part.
    fn processes(&self) -> Vec<u32> {
        let gateways = [Some(&self.gateway), self.other.as_ref()].into_iter().flatten().map(Gateway::id);
        let nginx = self.nginx.iter().flat_map(|nginx| usage::family(nginx.id()));
        gateways.chain([std::process::id()]).chain(nginx).collect()
    }
}

fn load(address: SocketAddr, model: &str, connections: usize, requests: usize) -> Load {
    let question = "Write a function that returns the n-th prime number, and say what it costs.";
    let body = json!({ "model": model, "user": "bench", "messages": [{ "role": "user", "content": question }] });
    Load { address, body: body.to_string(), connections, requests }
}
