//! The `log` import: the plugin's messages in the host's log, bounded in number and length.

use crate::{
    bindings::personaroute::router::log::{Host, Level},
    context::Context,
    truncate::truncate,
};

/// Longest message in bytes; the rest is cut off, so that a plugin cannot flood the log.
const MAX_MESSAGE: usize = 1024;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        if !self.log.take() {
            return Ok(());
        }
        let message = truncate(&message, MAX_MESSAGE);
        match level {
            Level::Debug => tracing::debug!(target: "personaroute::plugin", message, "plugin log"),
            Level::Info => tracing::info!(target: "personaroute::plugin", message, "plugin log"),
            Level::Warn => tracing::warn!(target: "personaroute::plugin", message, "plugin log"),
            Level::Error => tracing::error!(target: "personaroute::plugin", message, "plugin log"),
        }
        Ok(())
    }
}
