//! Where things are: the repository, the cache outside it, the build folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The version of the cache's layout; a change of layout starts a new folder beside the old.
const LAYOUT: &str = "v1";

/// Returns the repository's root.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Returns the folder of the default bundle.
pub(crate) fn default_bundle() -> PathBuf {
    root().join("configs/bundle")
}

/// Returns the cache folder: `PERSONAROUTE_CACHE`, else the user's cache folder; never inside the repository.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(folder) = variable("PERSONAROUTE_CACHE") {
        return std::path::absolute(&folder).with_context(|| format!("PERSONAROUTE_CACHE={}", folder.display()));
    }
    let base = match variable("XDG_CACHE_HOME") {
        Some(base) => base,
        None => env::home_dir().context("no home folder: set PERSONAROUTE_CACHE to a folder to use")?.join(".cache"),
    };
    Ok(base.join("personaroute"))
}

/// Returns the folder of fetched components.
pub(crate) fn components() -> Result<PathBuf> {
    Ok(cache()?.join(LAYOUT))
}

/// Returns cargo's build folder: `CARGO_TARGET_DIR`, else one in the cache that every clone shares.
pub(crate) fn target() -> Result<PathBuf> {
    match variable("CARGO_TARGET_DIR") {
        Some(folder) => Ok(root().join(folder)),
        None => Ok(cache()?.join("target")),
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
