//! Builds the routing plugin and the test guests as WASM components.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::setup::guest::{GuestToolchain, TARGET};
use crate::workspace;

/// Paths of the built components.
pub(crate) struct Built {
    pub(crate) plugin: PathBuf,
    pub(crate) guests: PathBuf,
}

impl Built {
    /// Sets the variables with these paths.
    pub(crate) fn give(&self, command: &mut Command) {
        command.env("PERSONAROUTE_PLUGIN", &self.plugin).env("PERSONAROUTE_TEST_GUESTS", &self.guests);
    }
}

/// Builds the plugin only, for the demo.
pub(crate) fn build() -> Result<PathBuf> {
    let toolchain = GuestToolchain::ensure()?;
    build_plugin(&toolchain)
}

/// Builds the plugin and the misbehaving guests of the host's tests.
pub(crate) fn build_all() -> Result<Built> {
    let toolchain = GuestToolchain::ensure()?;
    Ok(Built { plugin: build_plugin(&toolchain)?, guests: build_guests(&toolchain)? })
}

fn build_plugin(toolchain: &GuestToolchain) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo_build()?;
    process::run(cargo.args(["--quiet", "--package", "personaroute-guest", "--lib"]), "building the plugin")?;
    let made = output()?.join("personaroute_guest.wasm");
    let plugin = workspace::target()?.join("plugin/personaroute.wasm");
    replace(&made, &plugin)?;
    eprintln!("plugin: {} ({} KB)", plugin.display(), plugin.metadata().map_or(0, |about| about.len() / 1000));
    Ok(plugin)
}

fn build_guests(toolchain: &GuestToolchain) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo_build()?;
    cargo.args(["--quiet", "--package", "personaroute-test-guests", "--examples"]);
    process::run(&mut cargo, "building the test guests")?;
    let guests = workspace::target()?.join("plugin/guests");
    let names = guest_names()?;
    for name in &names {
        let made = output()?.join("examples").join(name).with_extension("wasm");
        replace(&made, &guests.join(name).with_extension("wasm"))?;
    }
    eprintln!("plugin: {} test guests in {}", names.len(), guests.display());
    Ok(guests)
}

/// The test guests: one file each.
pub(crate) fn guest_names() -> Result<Vec<String>> {
    let folder = workspace::root().join("tests/guests/examples");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let files = entries.flatten().map(|entry| entry.path());
    let sources = files.filter(|file| file.extension() == Some(OsStr::new("rs")));
    let mut names: Vec<String> = sources.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    ensure!(!names.is_empty(), "{} holds no guest", folder.display());
    Ok(names)
}

fn output() -> Result<PathBuf> {
    Ok(workspace::target()?.join(TARGET).join("guest"))
}

/// Copies beside and renames, so that a host that has the old file open keeps a whole one. An equal file stays as it
/// is: its time tells others that nothing changed.
fn replace(made: &Path, place: &Path) -> Result<()> {
    let new = fs::read(made).with_context(|| made.display().to_string())?;
    if fs::read(place).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let folder = place.parent().context("a component has a folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let beside = place.with_extension("wasm.part");
    fs::write(&beside, new).with_context(|| beside.display().to_string())?;
    fs::rename(&beside, place).with_context(|| place.display().to_string())
}
