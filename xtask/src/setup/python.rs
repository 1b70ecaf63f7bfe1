//! The system's python3 and pip, and the tests' virtual environment with pinned packages.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::debian;
use crate::process;

/// The tests' Python packages, each pinned.
const REQUIREMENTS: &str = include_str!("../../requirements.txt");

/// A python3 that can run pip.
pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    /// Finds python3 with pip; installs them on Debian if run by root.
    pub(crate) fn find() -> Result<Self> {
        if process::find("python3").is_none() {
            debian::install(&["python3", "python3-pip"], "pip downloads the native libraries")?;
        }
        let program = process::find("python3").context("python3 is not in PATH")?;
        let python = Self { program };
        if !process::succeeds(python.command().args(["-m", "pip", "--version"])) {
            debian::install(&["python3-pip"], "pip downloads the native libraries")?;
        }
        if !process::succeeds(python.command().args(["-m", "pip", "--version"])) {
            bail!("`python3 -m pip` does not run: install pip for {}", python.program.display());
        }
        Ok(python)
    }

    /// Returns a command that runs this interpreter.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Returns a command that runs its pip.
    pub(crate) fn pip(&self) -> Result<Command> {
        let mut command = self.command();
        command.args(["-m", "pip"]);
        Ok(command)
    }
}

/// Returns the interpreter of the tests' environment, which is created on the first call and again if a pin changes.
///
/// The environment carries no pip of its own (Debian keeps `ensurepip` apart): the machine's pip installs into it.
pub(crate) fn environment(components: &Path) -> Result<PathBuf> {
    let folder = components.join("python");
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    let is_ready = fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == REQUIREMENTS);
    if is_ready && process::succeeds(Command::new(&interpreter).args(["-c", "pass"])) {
        return Ok(interpreter);
    }
    eprintln!("setup: making the tests' Python environment in {}", folder.display());
    let python = Python::find()?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    make_environment(&python, &folder)?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS).with_context(|| wanted.display().to_string())?;
    let mut install = pip_install(&python, &interpreter)?;
    install.arg("--requirement").arg(&wanted);
    process::run(&mut install, "installing the tests' Python packages with pip")?;
    // The stamp comes last: without it the next call starts again.
    fs::rename(&wanted, &stamp).with_context(|| stamp.display().to_string())?;
    Ok(interpreter)
}

/// Makes an environment with `packages` in a folder that is not there yet, and returns its interpreter.
pub(crate) fn new_environment(folder: &Path, packages: &[&OsStr]) -> Result<PathBuf> {
    let python = Python::find()?;
    make_environment(&python, folder)?;
    let interpreter = folder.join("bin/python");
    let mut install = pip_install(&python, &interpreter)?;
    install.args(packages);
    process::run(&mut install, "installing Python packages with pip")?;
    Ok(interpreter)
}

fn make_environment(python: &Python, folder: &Path) -> Result<()> {
    let mut make = python.command();
    make.args(["-m", "venv", "--without-pip"]).arg(folder);
    process::capture(&mut make, "making a Python environment").map(|_| ())
}

/// The start of a command that installs into the environment of `interpreter`.
fn pip_install(python: &Python, interpreter: &Path) -> Result<Command> {
    let mut install = python.pip()?;
    install.arg("--python").arg(interpreter).args(["install", "--quiet", "--disable-pip-version-check"]);
    install.arg("--only-binary=:all:");
    Ok(install)
}
