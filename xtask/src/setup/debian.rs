//! Debian packages: installed if set-up runs as root; otherwise the error names the command to run.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Installs packages, or fails with the command that would; `why` completes "… is missing: ".
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if process::find("apt-get").is_none() {
        bail!("missing: {} ({why}); install it with this system's package manager", packages.join(", "));
    }
    if !process::is_root() {
        bail!("missing: {} ({why}); as the administrator, run: {line}", packages.join(", "));
    }
    eprintln!("setup: {line}  ({why})");
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // Outdated package lists name files that no longer exist; an offline machine may still have the package in its cache.
    if let Err(error) = process::capture(apt().args(["update", "-q"]), "reading Debian's package lists") {
        eprintln!("setup: {error:#}");
    }
    let mut install = apt();
    install.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    process::capture(&mut install, "installing Debian packages").with_context(|| format!("missing: {why}"))?;
    Ok(())
}
