//! The demo: a gateway with simulated upstreams and the default bundle, and the same questions from two users.
//!
//! The gateway replaces this process (`exec`), so that Ctrl-C and signals reach the gateway itself. A second process sends
//! the example requests, prints the responses and exits.

mod ask;
mod example;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::environment::Environment;
use crate::setup::Need;
use crate::{bundle, install, plugin, process, setup, workspace};

/// The configuration that the demo serves, from the root.
const CONFIGURATION: &str = "configs/demo.yaml";

/// Sets up, builds, and serves until Ctrl-C.
pub(crate) fn run() -> Result<()> {
    let needs: &[Need] = if bundle::embeds_queries(&workspace::default_bundle())? {
        &[Need::OnnxRuntime, Need::Encoder]
    } else {
        &[Need::OnnxRuntime]
    };
    let environment = setup::ensure(needs)?;
    let plugin = plugin::build()?;
    let gateway = build(&environment, &plugin)?;
    let (configuration, listen) = configuration()?;
    let mut examples = Command::new(std::env::current_exe().context("this program's own path")?);
    examples.args(["demo-examples", &listen.to_string()]);
    examples.spawn().context("starting the examples")?;
    let mut serve = Command::new(&gateway);
    environment.give(&mut serve)?;
    serve.current_dir(workspace::root());
    serve.args(["serve", "--config"]).arg(configuration);
    let error = serve.exec();
    bail!("could not start {}: {error}", gateway.display())
}

/// Waits for the gateway, sends the example requests and prints what to try next.
pub(crate) fn examples(listen: &str) -> Result<()> {
    let listen: SocketAddr = listen.parse().with_context(|| format!("{listen} is not an address"))?;
    ask::wait_until_ready(listen)?;
    example::show(listen)
}

/// Builds the gateway as it would be installed.
fn build(environment: &Environment, plugin: &Path) -> Result<PathBuf> {
    eprintln!("demo: building the gateway (the first time takes some minutes)");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    install::embed(&mut cargo, plugin, &workspace::default_bundle());
    cargo.args(["build", "--profile", install::PROFILE, "--locked"]);
    cargo.args(["--package", "personaroute-gateway", "--bin", "personaroute"]);
    process::run(&mut cargo, "building the gateway")?;
    Ok(workspace::target()?.join(install::PROFILE).join("personaroute"))
}

/// Returns the configuration to serve and its address. If a port is in use, this is a copy with a free one.
fn configuration() -> Result<(PathBuf, SocketAddr)> {
    let file = workspace::root().join(CONFIGURATION);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (text, changes) = with_free_ports(&text, &["listen", "admin"])?;
    let listen = address(&text, "listen").with_context(|| format!("{CONFIGURATION} has no `listen:` line"))?;
    if changes.is_empty() {
        return Ok((file, listen));
    }
    for change in changes {
        eprintln!("demo: {change}");
    }
    let copy = workspace::cache()?.join("demo.yaml");
    write(&copy, &text)?;
    Ok((copy, listen))
}

/// Replaces the ports of these top-level keys if they are in use.
fn with_free_ports(text: &str, keys: &[&str]) -> Result<(String, Vec<String>)> {
    let mut text = text.to_owned();
    let mut changes = Vec::new();
    for key in keys {
        let Some(wanted) = address(&text, key) else { continue };
        if TcpListener::bind(wanted).is_ok() {
            continue;
        }
        let any = TcpListener::bind((wanted.ip(), 0)).context("looking for a free port")?;
        let free = any.local_addr().context("looking for a free port")?;
        text = text.replacen(&format!("{key}: {wanted}"), &format!("{key}: {free}"), 1);
        changes.push(format!("{wanted} is in use: {key} is {free} instead"));
    }
    Ok((text, changes))
}

/// Returns the address of a top-level key.
fn address(text: &str, key: &str) -> Option<SocketAddr> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.split('#').next()?.trim().parse().ok()
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_configuration_names_both_addresses() {
        let text = fs::read_to_string(workspace::root().join(CONFIGURATION)).unwrap();
        assert!(address(&text, "listen").is_some());
        assert!(address(&text, "admin").is_some());
    }

    #[test]
    fn a_port_in_use_is_replaced_and_reported() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let holder = TcpListener::bind(taken).unwrap();
        let text = format!("version: 1\nlisten: {taken}  # here\nadmin: null\n");
        let (changed, changes) = with_free_ports(&text, &["listen", "admin"]).unwrap();
        assert_ne!(address(&changed, "listen"), Some(taken));
        assert!(changes[0].starts_with(&format!("{taken} is in use")), "{changes:?}");
        drop(holder);
    }
}
