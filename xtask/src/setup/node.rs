//! The tests' Node packages, each pinned: the official clients for JavaScript.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process;

/// The packages.
const PACKAGES: &str = include_str!("../../packages.json");

/// Returns the folder with the packages, installed on the first call and again when a pin changes; none on a machine without
/// Node and npm, or where npm cannot install them: the tests that need them are skipped, and counted as such.
pub(crate) fn packages(components: &Path) -> Result<Option<PathBuf>> {
    let Some(npm) = process::find("npm").filter(|_| process::find("node").is_some()) else {
        eprintln!("setup: there is no Node with npm, so the tests of JavaScript clients are skipped");
        return Ok(None);
    };
    let folder = components.join("node");
    let stamp = folder.join("installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == PACKAGES) {
        return Ok(Some(folder));
    }
    eprintln!("setup: installing the tests' Node packages in {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let wanted = folder.join("package.json");
    fs::write(&wanted, PACKAGES).with_context(|| wanted.display().to_string())?;
    let mut install = std::process::Command::new(npm);
    install.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    // The older client would like an older zod, which is optional to it.
    install.arg("--legacy-peer-deps");
    if let Err(error) = process::run(&mut install, "installing the tests' Node packages with npm") {
        eprintln!("setup: {error:#}; the tests of JavaScript clients are skipped");
        return Ok(None);
    }
    // The stamp comes last: without it the next call starts again.
    fs::write(&stamp, PACKAGES).with_context(|| stamp.display().to_string())?;
    Ok(Some(folder))
}
