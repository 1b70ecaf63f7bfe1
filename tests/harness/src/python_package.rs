//! The Python package `personaroute` as the workspace's build left it: its modules and the extension module in one folder.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{path, python};

/// A folder for Python's search path that holds the package; it is removed when dropped.
pub struct PythonPackage {
    folder: TempDir,
}

impl PythonPackage {
    /// Puts the package together.
    ///
    /// # Errors
    ///
    /// Fails when the extension module was not built.
    pub fn assemble() -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the package")?;
        let package = folder.path().join("personaroute");
        fs::create_dir(&package).context("a folder for the package")?;
        let modules = path::root().join("plugin/adapters/python/personaroute");
        for entry in fs::read_dir(&modules).with_context(|| modules.display().to_string())? {
            let file = entry?.path();
            if file.extension() == Some(OsStr::new("py")) {
                copy(&file, &package.join(file.file_name().unwrap_or_default()))?;
            }
        }
        copy(&path::binary("lib_native.so"), &package.join("_native.abi3.so"))?;
        Ok(Self { folder })
    }

    /// Runs a script that imports the package, with the plugin and the default bundle in the environment.
    ///
    /// # Errors
    ///
    /// Fails as [`python::run`] does.
    pub fn run<S: AsRef<OsStr>>(&self, script: &str, arguments: &[S]) -> Result<String> {
        let variables = [
            ("PYTHONPATH", self.folder.path().to_path_buf()),
            ("PERSONAROUTE_PLUGIN", path::plugin()),
            ("PERSONAROUTE_BUNDLE", path::default_bundle()),
            ("PERSONAROUTE_TRAIN", path::binary("personaroute-train")),
        ];
        python::run_with(script, arguments, &variables)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).with_context(|| format!("copying {}", from.display()))
}
