//! Set-up: brings the native parts onto the machine, outside the repository, and says where they are.

mod component;
mod debian;
pub(crate) mod guest;
mod lock;
mod node;
mod python;

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use self::lock::Lock;
use crate::environment::Environment;
use crate::toolchain::Toolchain;
use crate::{process, workspace};

/// The only machine whose wheels the lock file names.
const SUPPORTED_HOST: &str = "x86_64-unknown-linux-gnu";

/// What a task needs of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The library that runs ONNX graphs.
    OnnxRuntime,
    /// The text encoder, for bundles that embed queries.
    Encoder,
    /// libtorch and a C++ compiler, for training.
    Training,
    /// The official clients and the ONNX checker, for the tests.
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

/// Everything there is to set up.
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

/// Sets up what is needed and returns where it is. A second call finds everything and says nothing.
pub(crate) fn ensure(needs: &[Need]) -> Result<Environment> {
    let components = workspace::components()?;
    fs::create_dir_all(&components).with_context(|| components.display().to_string())?;
    // Two clones may set up at once: the second waits and then finds everything there.
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

/// Checks the sha256 of every file of every component that is there.
pub(crate) fn verify() -> Result<()> {
    let components = workspace::components()?;
    for component in Lock::read()?.components() {
        let folder = components.join(&component.folder);
        component.verify(&folder)?;
        eprintln!("setup: {} is whole: {} files checked", component.what, component.files.len());
    }
    Ok(())
}

/// The ONNX Runtime library: the one the user names, else the fetched one.
fn onnxruntime(lock: &Lock) -> Result<PathBuf> {
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) {
        ensure!(library.is_file(), "ORT_DYLIB_PATH names {}, which is not a file", library.display());
        return Ok(library);
    }
    let folder = fetched(lock, "onnxruntime")?;
    let name = lock.component("onnxruntime")?.files.keys().next().context("the lock file names no library")?;
    Ok(folder.join(name))
}

/// Finds a C++ compiler; on Debian the administrator gets one installed. `why` says what it is for.
pub(crate) fn compiler(why: &str) -> Result<()> {
    let is_here = std::env::var_os("CXX").is_some() || ["c++", "g++"].iter().any(|name| process::find(name).is_some());
    if is_here { Ok(()) } else { debian::install(&["g++"], why) }
}

/// Finds a server of Redis's kind; on Debian the administrator gets one installed.
fn store() -> Result<()> {
    let is_here = ["valkey-server", "redis-server"].iter().any(|name| process::find(name).is_some());
    if is_here { Ok(()) } else { debian::install(&["redis-server"], "the tests share budgets over a real store") }
}

/// The libtorch folder: the one the user names, else the fetched one; and a compiler for its bindings.
fn libtorch(lock: &Lock) -> Result<PathBuf> {
    compiler("libtorch's bindings are compiled with a C++ compiler")?;
    if let Some(folder) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        ensure!(folder.join("lib").is_dir(), "LIBTORCH names {}, which has no lib folder", folder.display());
        return Ok(folder);
    }
    fetched(lock, "libtorch")
}

/// A program that extends cargo: the fetched one; on hosts without a wheel, the one on the search path.
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
        "set-up fetches {} for {SUPPORTED_HOST} only, and this is {host}: \
         set ORT_DYLIB_PATH (ONNX Runtime 1.24 or later) and LIBTORCH (2.11.0) to your own",
        component.what
    );
    component::ensure(&workspace::components()?, component)
}
