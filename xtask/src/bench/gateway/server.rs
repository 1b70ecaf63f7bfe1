//! A running gateway, and addresses for it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::usage;
use crate::environment::Environment;
use crate::{process, workspace};

/// Where a gateway finds its plugin and its bundle.
pub(super) enum Assets<'a> {
    /// This plugin, and the default bundle of the repository.
    Given { plugin: &'a Path },
    /// As its configuration says.
    Configured,
}

/// A running gateway; it ends when this is dropped.
pub(super) struct Gateway {
    child: Child,
    pub(super) address: SocketAddr,
    /// Resident kilobytes before ONNX Runtime and the models were loaded.
    pub(super) before_models: Option<u64>,
}

impl Gateway {
    /// Starts `binary` at `address` with a configuration, which is kept as `name` in the cache.
    pub(super) fn start(
        environment: &Environment,
        binary: &Path,
        assets: &Assets<'_>,
        (name, configuration): (&str, &str),
        address: SocketAddr,
    ) -> Result<Self> {
        let file = workspace::cache()?.join(name);
        fs::write(&file, configuration).with_context(|| file.display().to_string())?;
        let mut serve = Command::new(binary);
        environment.give(&mut serve)?;
        match assets {
            Assets::Given { plugin } => {
                serve.env("PERSONAROUTE_PLUGIN", plugin).env("PERSONAROUTE_BUNDLE", workspace::default_bundle());
            }
            Assets::Configured => {
                serve.env_remove("PERSONAROUTE_PLUGIN").env_remove("PERSONAROUTE_BUNDLE");
            }
        }
        serve.current_dir(workspace::root());
        serve.args(["serve", "--config"]).arg(file);
        let mut child = serve.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let before_models = usage::resident_before(&mut child, "libonnxruntime");
        let gateway = Self { child, address, before_models };
        wait_for(address)?;
        Ok(gateway)
    }

    /// Returns the number of the process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the gateway as it is released, and returns the program.
pub(super) fn build(environment: &Environment) -> Result<PathBuf> {
    eprintln!("bench: building the gateway");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.args(["build", "--release", "--locked", "--package", "personaroute-gateway", "--bin", "personaroute"]);
    process::run(&mut cargo, "building the gateway")?;
    Ok(workspace::target()?.join("release/personaroute"))
}

/// Returns an address on loopback that nothing uses at the moment.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

/// Waits until something listens on `address`.
pub(super) fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..600 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    bail!("nothing listens on {address} after 30 seconds")
}
