//! The plugin's toolchain: rustup's WASM target, or Debian's compiler with the sources of the standard library.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::debian;
use crate::toolchain::Toolchain;
use crate::{process, workspace};

/// The target of the plugin and the test guests: no operating system, so no imports beyond the contract's.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, whose package brings WASM's standard library as sources.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// How a guest is compiled on this machine.
pub(crate) enum GuestToolchain {
    /// The toolchain in use has the target.
    Rustup { toolchain: Toolchain },
    /// The target could not be fetched: Debian's compiler builds the standard library from its sources.
    Debian { toolchain: Toolchain },
}

impl GuestToolchain {
    /// Returns the installed toolchain, or installs one.
    pub(crate) fn ensure() -> Result<Self> {
        let toolchain = Toolchain::find()?;
        if has_target(&toolchain) {
            return Ok(Self::Rustup { toolchain });
        }
        eprintln!("setup: adding the {TARGET} target");
        let mut add = Command::new("rustup");
        add.current_dir(workspace::root()).args(["target", "add", TARGET]);
        match process::capture(&mut add, "adding the WASM target") {
            Ok(_) if has_target(&toolchain) => Ok(Self::Rustup { toolchain }),
            Ok(_) => Self::debian(toolchain),
            Err(error) => {
                eprintln!("setup: {error:#}");
                eprintln!("setup: rustup cannot add the target: using Debian's compiler for the guest");
                Self::debian(toolchain)
            }
        }
    }

    /// Uses Debian's compiler, and installs it if it is missing.
    fn debian(toolchain: Toolchain) -> Result<Self> {
        let is_there = Path::new(DEBIAN_RUSTC).is_file() && debian_sources().is_some_and(|found| found.is_dir());
        if !is_there {
            debian::install(&["rustc-web", "rust-web-src"], "the plugin needs a compiler for WASM")?;
        }
        ensure!(Path::new(DEBIAN_RUSTC).is_file(), "{DEBIAN_RUSTC} is missing: install rustc-web and rust-web-src");
        Ok(Self::Debian { toolchain })
    }

    /// A cargo command that builds guests: `cargo build` with the target, the linker and, on Debian, the sources.
    pub(crate) fn cargo_build(&self) -> Result<Command> {
        let mut command = process::cargo();
        command.args(["build", "--profile", "guest", "--target", TARGET]);
        command.env("CARGO_TARGET_DIR", workspace::target()?);
        let (Self::Rustup { toolchain } | Self::Debian { toolchain }) = self;
        let tools = toolchain.tools();
        let linker = tools.join("wasm-component-ld");
        ensure!(linker.is_file(), "{} is missing: the toolchain comes without WASM's linker", linker.display());
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        if matches!(self, Self::Debian { .. }) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = [tools.join("gcc-ld"), tools].into_iter().chain(std::env::split_paths(&path));
            let path = std::env::join_paths(folders).context("the linker's search path")?;
            command.env("PATH", path).env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
            command.args(["-Zbuild-std=std,panic_abort", "--ignore-rust-version"]);
        }
        Ok(command)
    }
}

fn has_target(toolchain: &Toolchain) -> bool {
    toolchain.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// Where Debian's compiler looks for the standard library's sources.
fn debian_sources() -> Option<PathBuf> {
    let sysroot =
        process::capture(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]), "asking Debian's rustc").ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std"))
}
