//! Builds the Python wheel: the extension module, the plugin and the default bundle in one file.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::install::prefix::Prefix;
use crate::setup::{self, Need};
use crate::{plugin, process, workspace};

/// The adapter's folder, from the root.
const ADAPTER: &str = "plugin/adapters/python";
/// Builds the extension module and writes the wheel.
const MATURIN: &str = "maturin==1.16.0";
/// What a clean environment must be able to do with the wheel.
const SMOKE: &str = "import personaroute; print(personaroute.Router().route('Prove that 2 is prime.', preference=0.9))";

/// Builds the wheel into `target/wheels`, installs it into an environment of its own and asks it once.
pub(crate) fn run() -> Result<()> {
    setup::ensure(&[Need::OnnxRuntime])?;
    let component = plugin::build()?;
    let data = workspace::root().join(ADAPTER).join("personaroute/data");
    fill(&data, &component)?;
    let target = workspace::target()?;
    let tools = environment(&target.join("wheel-tools"), &[OsStr::new(MATURIN)])?;
    let wheels = target.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).with_context(|| wheels.display().to_string())?;
    }
    let mut maturin = Command::new(tools.with_file_name("maturin"));
    maturin.current_dir(workspace::root().join(ADAPTER)).env("CARGO_TARGET_DIR", &target);
    maturin.args(["build", "--profile", "dist", "--locked", "--out"]).arg(&wheels);
    maturin.arg("--interpreter").arg(&tools);
    process::run(&mut maturin, "building the wheel")?;
    let wheel = only_file(&wheels)?;
    let clean = environment(&target.join("wheel-check"), &[wheel.as_os_str()])?;
    let mut ask = Command::new(&clean);
    ask.args(["-c", SMOKE]);
    for variable in ["ORT_DYLIB_PATH", "PERSONAROUTE_PLUGIN", "PERSONAROUTE_BUNDLE", "PYTHONPATH"] {
        ask.env_remove(variable);
    }
    let said = process::capture(&mut ask, "asking the installed wheel")?;
    eprintln!("wheel: {} ({} bytes) decides: {}", wheel.display(), fs::metadata(&wheel)?.len(), said.trim());
    Ok(())
}

/// Puts the plugin and the default bundle where the package looks for them.
fn fill(data: &Path, component: &Path) -> Result<()> {
    if data.exists() {
        fs::remove_dir_all(data).with_context(|| data.display().to_string())?;
    }
    let mut package = Prefix::new(data);
    package.folder(&workspace::default_bundle(), "bundle")?;
    package.file(component, "personaroute.wasm")
}

/// Makes a Python environment that holds `packages` and returns its interpreter.
fn environment(folder: &Path, packages: &[&OsStr]) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    setup::python::new_environment(folder, packages)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let found: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    ensure!(found.len() == 1, "{}: expected one wheel, found {}", folder.display(), found.len());
    found.into_iter().next().context("a wheel")
}
