//! Set-up: installs the native parts outside the repository, and returns their paths.

mod component;
mod debian;
pub(crate) mod guest;
mod lock;
mod node;
pub(crate) mod python;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use self::lock::Lock;
use crate::environment::Environment;
use crate::toolchain::Toolchain;
use crate::{process, workspace};

/// The only platform whose wheels the lock file names.
const SUPPORTED_HOST: &str = "x86_64-unknown-linux-gnu";

/// A part that a task needs on the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The library that runs ONNX graphs.
    OnnxRuntime,
    /// The text encoder, for bundles that embed queries.
    Encoder,
    /// libtorch and a C++ compiler, for training.
    Training,
    /// The official API clients and the ONNX checker, for the tests.
    Python,
    /// The official clients for JavaScript, for the tests.
    Node,
    /// A Redis server, for the tests of budgets that gateways share.
    Store,
    /// cargo-nextest, which runs the tests.
    Nextest,
    /// cargo-deny, which checks the dependencies.
    Deny,
}

/// All parts.
pub(crate) const ALL: &[Need] = &[
    Need::OnnxRuntime,
    Need::Encoder,
    Need::Training,
    Need::Python,
    Need::Node,
    Need::Store,
    Need::Nextest,
    Need::Deny,
];

/// Installs the parts that are needed and missing, and returns their paths. Prints nothing if none is missing.
pub(crate) fn ensure(needs: &[Need]) -> Result<Environment> {
    let components = workspace::components()?;
    fs::create_dir_all(&components).with_context(|| components.display().to_string())?;
    // Two clones may run set-up at the same time: the second waits, and then finds everything installed.
    let guard_file = components.join("setup.lock");
    let guard = File::create(&guard_file).with_context(|| guard_file.display().to_string())?;
    guard.lock().with_context(|| guard_file.display().to_string())?;
    let lock = Lock::read()?;
    let mut environment = Environment::default();
    for need in needs {
        match need {
            Need::OnnxRuntime => environment.onnxruntime = Some(onnxruntime(&lock)?),
            Need::Encoder => environment.encoder = Some(fetched(&lock, "encoder")?),
            Need::Training => environment.libtorch = Some(libtorch(&lock)?),
            Need::Python => environment.python = Some(python::environment(&components)?),
            Need::Node => environment.node = node::packages(&components)?,
            Need::Store => store()?,
            Need::Nextest => environment.nextest = Some(tool(&lock, "cargo-nextest")?),
            Need::Deny => environment.deny = Some(tool(&lock, "cargo-deny")?),
        }
    }
    Ok(environment)
}

/// Checks the sha256 of every file of every installed component.
pub(crate) fn verify() -> Result<()> {
    let components = workspace::components()?;
    for component in Lock::read()?.components() {
        let folder = components.join(&component.folder);
        component.verify(&folder)?;
        eprintln!("setup: {}: {} files match their checksums", component.what, component.files.len());
    }
    Ok(())
}

/// Returns the folder of licences of a library that lies in the cache; `None` for a library that the user names.
pub(crate) fn licences(name: &str, library: &Path) -> Result<Option<PathBuf>> {
    let (components, lock) = (workspace::components()?, Lock::read()?);
    let component = lock.component(name)?;
    if !library.starts_with(components.join(&component.folder)) {
        return Ok(None);
    }
    component::licences(&components, component).map(Some)
}

/// Returns the ONNX Runtime library: the user's own if `ORT_DYLIB_PATH` is set, else the downloaded one.
fn onnxruntime(lock: &Lock) -> Result<PathBuf> {
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) {
        ensure!(library.is_file(), "ORT_DYLIB_PATH names {}, which is not a file", library.display());
        return Ok(library);
    }
    let folder = fetched(lock, "onnxruntime")?;
    let name = lock.component("onnxruntime")?.files.keys().next().context("the lock file names no library")?;
    Ok(folder.join(name))
}

/// Finds a C++ compiler; installs one on Debian if run by root. `why` is the reason.
pub(crate) fn compiler(why: &str) -> Result<()> {
    let is_here = std::env::var_os("CXX").is_some() || ["c++", "g++"].iter().any(|name| process::find(name).is_some());
    if is_here { Ok(()) } else { debian::install(&["g++"], why) }
}

/// Finds a Redis or Valkey server; installs one on Debian if run by root.
fn store() -> Result<()> {
    let is_here = ["valkey-server", "redis-server"].iter().any(|name| process::find(name).is_some());
    if is_here { Ok(()) } else { debian::install(&["redis-server"], "the tests of shared budgets use a real store") }
}

/// Returns the libtorch folder (the user's own if `LIBTORCH` is set, else the downloaded one), and finds a compiler for its
/// bindings.
fn libtorch(lock: &Lock) -> Result<PathBuf> {
    compiler("libtorch's bindings are compiled with a C++ compiler")?;
    if let Some(folder) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        ensure!(folder.join("lib").is_dir(), "LIBTORCH names {}, which has no lib folder", folder.display());
        return Ok(folder);
    }
    fetched(lock, "libtorch")
}

/// Returns a cargo extension: the downloaded one, or on other platforms the one in `PATH`.
fn tool(lock: &Lock, name: &str) -> Result<PathBuf> {
    if Toolchain::find()?.host == SUPPORTED_HOST {
        return Ok(fetched(lock, name)?.join(name));
    }
    process::find(name).with_context(|| format!("missing: {name}; run: cargo install --locked {name}"))
}

fn fetched(lock: &Lock, name: &str) -> Result<PathBuf> {
    let component = lock.component(name)?;
    let host = Toolchain::find()?.host;
    ensure!(
        host == SUPPORTED_HOST,
        "set-up downloads {} for {SUPPORTED_HOST} only, and this is {host}: \
         set ORT_DYLIB_PATH (ONNX Runtime 1.24 or later) and LIBTORCH (2.11.0) to your own copies",
        component.what
    );
    component::ensure(&workspace::components()?, component)
}
