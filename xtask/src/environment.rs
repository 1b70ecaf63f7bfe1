//! Environment variables of builds and tests: the paths of the native libraries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace;

/// The installed parts; a part that was not requested is absent.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) onnxruntime: Option<PathBuf>,
    pub(crate) encoder: Option<PathBuf>,
    pub(crate) libtorch: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) node: Option<PathBuf>,
    pub(crate) nextest: Option<PathBuf>,
    pub(crate) deny: Option<PathBuf>,
}

impl Environment {
    /// Returns the variables and their values.
    pub(crate) fn variables(&self) -> Result<Vec<(&'static str, OsString)>> {
        let mut variables: Vec<(&'static str, OsString)> = vec![("CARGO_TARGET_DIR", workspace::target()?.into())];
        let mut add = |name, path: &Option<PathBuf>| {
            if let Some(path) = path {
                variables.push((name, path.clone().into()));
            }
        };
        add("ORT_DYLIB_PATH", &self.onnxruntime);
        add("PERSONAROUTE_ENCODER_DIR", &self.encoder);
        add("PERSONAROUTE_PYTHON", &self.python);
        add("PERSONAROUTE_NODE_PACKAGES", &self.node);
        add("LIBTORCH", &self.libtorch);
        if let Some(libtorch) = &self.libtorch {
            variables.push(("LD_LIBRARY_PATH", library_path(&libtorch.join("lib"))?));
        }
        Ok(variables)
    }

    /// Returns a command of cargo-nextest with the variables.
    pub(crate) fn nextest(&self) -> Result<Command> {
        self.tool(self.nextest.as_deref().context("set-up was not asked for cargo-nextest")?)
    }

    /// Returns a command of cargo-deny with the variables.
    pub(crate) fn deny(&self) -> Result<Command> {
        self.tool(self.deny.as_deref().context("set-up was not asked for cargo-deny")?)
    }

    fn tool(&self, program: &Path) -> Result<Command> {
        let mut command = Command::new(program);
        command.current_dir(workspace::root());
        self.give(&mut command)?;
        Ok(command)
    }

    /// Sets the variables for a command.
    pub(crate) fn give(&self, command: &mut Command) -> Result<()> {
        command.envs(self.variables()?);
        Ok(())
    }
}

/// Returns the library search path with `first` in front, listed once.
fn library_path(first: &Path) -> Result<OsString> {
    let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = std::env::split_paths(&before).filter(|folder| folder != first && !folder.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(first.to_path_buf()).chain(others)).context("LD_LIBRARY_PATH")
}
