//! Installs one component of the lock file into the cache: download, verify, unpack into a staging folder, verify, rename.
//!
//! An interruption never leaves a partial component: complete wheels are kept for the next attempt, and a component's folder
//! appears by one rename after every checksum matches.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::lock::{self, Component, Wheel};
use super::python::Python;
use crate::process;

/// The Python version of the wheels, whatever version runs here: only the libraries inside are used.
const WHEEL_PYTHON: &str = "3.11";

/// Folder of the licences in a component's folder.
const LICENCES: &str = "licences";

/// Returns the component's folder, and installs the component first if it is missing.
pub(crate) fn ensure(components: &Path, component: &Component) -> Result<PathBuf> {
    let folder = components.join(&component.folder);
    if component.is_in(&folder) {
        return Ok(folder);
    }
    let python = Python::find()?;
    let downloads = components.join("download");
    let staging = components.join(format!("{}.part", component.folder));
    remove(&staging)?;
    fs::create_dir_all(&downloads).with_context(|| downloads.display().to_string())?;
    fs::create_dir_all(&staging).with_context(|| staging.display().to_string())?;
    let mut wheels = Vec::new();
    for wheel in &component.wheels {
        let file = fetch(&python, &downloads, wheel).with_context(|| format!("fetching {}", component.what))?;
        unpack(&python, &file, &staging, &wheel.take).with_context(|| format!("unpacking {}", component.what))?;
        unpack_licences(&python, &file, &staging, wheel)?;
        wheels.push(file);
    }
    for (name, text) in &component.write {
        let file = staging.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    component.verify(&staging)?;
    remove(&folder)?;
    fs::rename(&staging, &folder).with_context(|| format!("renaming to {}", folder.display()))?;
    for wheel in wheels {
        fs::remove_file(&wheel).with_context(|| wheel.display().to_string())?;
    }
    eprintln!("setup: {} is ready in {}", component.what, folder.display());
    Ok(folder)
}

/// Returns the folder of the component's licences. A component that was fetched before licences were kept gets its own now.
pub(crate) fn licences(components: &Path, component: &Component) -> Result<PathBuf> {
    let folder = components.join(&component.folder);
    let downloads = components.join("download");
    for wheel in &component.wheels {
        if wheel.licences.values().all(|name| folder.join(LICENCES).join(name).is_file()) {
            continue;
        }
        let python = Python::find()?;
        fs::create_dir_all(&downloads).with_context(|| downloads.display().to_string())?;
        let file = fetch(&python, &downloads, wheel).with_context(|| format!("the licences of {}", component.what))?;
        unpack_licences(&python, &file, &folder, wheel)?;
        fs::remove_file(&file).with_context(|| file.display().to_string())?;
    }
    Ok(folder.join(LICENCES))
}

/// Returns the wheel's file, downloaded unless a whole one is there.
fn fetch(python: &Python, downloads: &Path, wheel: &Wheel) -> Result<PathBuf> {
    if let Some(file) = present(downloads, wheel) {
        return Ok(file);
    }
    eprintln!("setup: fetching {} {} ({} MB)", wheel.package, wheel.version, wheel.megabytes);
    let mut pip = python.pip()?;
    pip.args(["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]);
    pip.args(["--implementation", "cp", "--python-version", WHEEL_PYTHON, "--platform", &wheel.platform]);
    pip.arg("--dest").arg(downloads).arg(format!("{}=={}", wheel.package, wheel.version));
    if !std::io::stderr().is_terminal() {
        pip.args(["--quiet", "--progress-bar", "off"]);
    }
    process::run(&mut pip, "downloading with pip (is there a network, and does pip's index have the package?)")?;
    let file = find(downloads, wheel).with_context(|| format!("pip wrote no wheel of {}", wheel.package))?;
    lock::check(&file, &wheel.sha256)?;
    Ok(file)
}

/// Returns a wheel that an earlier try left whole; a cut or wrong one is removed, so that pip fetches it again.
fn present(downloads: &Path, wheel: &Wheel) -> Option<PathBuf> {
    let file = find(downloads, wheel)?;
    if lock::check(&file, &wheel.sha256).is_ok() {
        return Some(file);
    }
    // A file that cannot be removed makes the next check fail with its name.
    let _ = fs::remove_file(&file);
    None
}

fn find(downloads: &Path, wheel: &Wheel) -> Option<PathBuf> {
    let start = format!("{}-{}-", wheel.package.replace('-', "_"), wheel.version);
    let entries = fs::read_dir(downloads).ok()?;
    let files = entries.flatten().map(|entry| entry.path());
    files.filter(|file| file.extension().is_some_and(|ext| ext == "whl")).find(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase());
        name.is_some_and(|name| name.starts_with(&start))
    })
}

fn unpack_licences(python: &Python, file: &Path, folder: &Path, wheel: &Wheel) -> Result<()> {
    if wheel.licences.is_empty() {
        return Ok(());
    }
    unpack(python, file, &folder.join(LICENCES), &wheel.licences).context("unpacking licences")
}

fn unpack(python: &Python, file: &Path, staging: &Path, members: &BTreeMap<String, String>) -> Result<()> {
    let mut command = python.command();
    command.args(["-c", include_str!("extract.py")]).arg(file).arg(staging);
    for (from, to) in members {
        command.args([from, to]);
    }
    process::capture(&mut command, "unpacking a wheel").map(|_| ())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}
