//! Measures, and archives what was measured beside the machine and the commit that made it.

mod archive;
mod cores;
mod gateway;
mod http;
mod load;
mod nginx;
mod training;
mod usage;
mod upstream;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use self::archive::Archive;
pub(crate) use self::gateway::options::Options as GatewayOptions;
use crate::environment::Environment;
use crate::setup::Need;
use crate::{plugin, process, setup, workspace};

/// The crates that may hold benches, and where.
const CRATES: &[(&str, &str)] = &[
    ("personaroute-bundle", "plugin/bundle"),
    ("personaroute-guest", "plugin/guest"),
    ("personaroute-host", "plugin/host"),
    ("personaroute-gateway", "gateway"),
];

/// Runs every bench beside the code.
pub(crate) fn micro() -> Result<()> {
    let environment = setup::ensure(&[Need::OnnxRuntime, Need::Encoder])?;
    run_micro(&environment, &plugin::build()?, &Archive::new()?)
}

/// Measures what the gateway adds.
pub(crate) fn gateway(options: &GatewayOptions) -> Result<()> {
    let environment = setup::ensure(&[Need::OnnxRuntime, Need::Encoder])?;
    gateway::run(&environment, &plugin::build()?, &Archive::new()?, options)
}

/// Runs the trainer over growing numbers of users of the outcomes in a folder.
pub(crate) fn training(outcomes: &str) -> Result<()> {
    let environment = setup::ensure(&[Need::OnnxRuntime, Need::Training])?;
    training::run(&environment, Path::new(outcomes), &Archive::new()?)
}

fn run_micro(environment: &Environment, plugin: &Path, archive: &Archive) -> Result<()> {
    let with_benches: Vec<&str> = CRATES
        .iter()
        .filter(|(_, folder)| workspace::root().join(folder).join("benches").is_dir())
        .map(|(name, _)| *name)
        .collect();
    ensure!(!with_benches.is_empty(), "no crate has benches");
    for name in with_benches {
        eprintln!("bench: {name}");
        let mut cargo = process::cargo();
        environment.give(&mut cargo)?;
        cargo.env("PERSONAROUTE_PLUGIN", plugin).args(["bench", "--quiet", "--locked", "--package", name, "--benches"]);
        let output = cargo.stderr(Stdio::inherit()).output().with_context(|| format!("benching {name}"))?;
        ensure!(output.status.success(), "the benches of {name} ended with {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        eprint!("{text}");
        archive.write(&format!("{name}.txt"), &text)?;
    }
    Ok(())
}
