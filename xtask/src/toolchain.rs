//! The Rust toolchain in use: its folder, its host, and the linkers that come with it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The compiler's own account of itself.
pub(crate) struct Toolchain {
    pub(crate) sysroot: PathBuf,
    pub(crate) host: String,
}

impl Toolchain {
    /// Runs rustc to find its sysroot and host.
    pub(crate) fn find() -> Result<Self> {
        let rustc = || {
            let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            command.current_dir(workspace::root());
            command
        };
        let sysroot = process::capture(rustc().args(["--print", "sysroot"]), "finding rustc's sysroot")?;
        let about = process::capture(rustc().arg("-vV"), "reading rustc's version")?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
        Ok(Self { sysroot: PathBuf::from(sysroot.trim()), host: host.to_owned() })
    }

    /// The folder in which rustup keeps the linkers.
    pub(crate) fn tools(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }
}
