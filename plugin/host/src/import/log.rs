//! The `log` import: the plugin's messages, bounded in number and length, in the host's log.

use crate::{
    component::bindings::personaroute::router::log::{Host, Level},
    context::Context,
    import::cut,
};

/// Longest message in bytes; the rest is cut. A line of a log is read by people.
const MAX_MESSAGE: usize = 1024;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        if self.log_budget == 0 {
            self.log_dropped = self.log_dropped.saturating_add(1);
            return Ok(());
        }
        self.log_budget -= 1;
        let message = cut(&message, MAX_MESSAGE);
        match level {
            Level::Debug => tracing::debug!(target: "personaroute::plugin", message, "plugin log"),
            Level::Info => tracing::info!(target: "personaroute::plugin", message, "plugin log"),
            Level::Warn => tracing::warn!(target: "personaroute::plugin", message, "plugin log"),
            Level::Error => tracing::error!(target: "personaroute::plugin", message, "plugin log"),
        }
        Ok(())
    }
}
