//! `personaroute check`: validates a configuration and prints the one in effect.

use std::{io::Write, path::Path};

use super::Failed;
use crate::{
    app,
    config::{self, Overrides},
};

/// Checks `file`.
pub(super) fn check(file: &Path, overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    let loaded = config::load(file, overrides, env)?;
    let models = app::check(&loaded)?;
    let mut out = std::io::stdout().lock();
    let printed = writeln!(
        out,
        "# {}: {} LLMs, {} model names; effective configuration:\n{}",
        file.display(),
        models.llms().len(),
        models.names().count(),
        loaded.effective()
    );
    printed.map_err(Failed::io("writing to stdout"))
}
