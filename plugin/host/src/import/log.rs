//! The `log` import: the plugin's messages, bounded in number and length, in the host's log.

use crate::{
    component::bindings::personaroute::router::log::{Host, Level},
    context::Context,
    import::cut,
};

/// Longest message in bytes; the rest is cut. A line of a log is read by people.
const MAX_MESSAGE: usize = 1024;

/// How many messages a call may still write, and how many it wrote in vain.
pub(crate) struct Budget {
    left: u32,
    dropped: u32,
}

impl Budget {
    /// Returns a budget of so many messages.
    pub(crate) fn new(messages: u32) -> Self {
        Self { left: messages, dropped: 0 }
    }

    /// Returns how many messages were dropped.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    fn allows(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        };
        self.left = left;
        true
    }
}

impl Host for Context {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        if !self.log.allows() {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_past_the_budget_are_counted_and_dropped() {
        let mut budget = Budget::new(2);
        let allowed: Vec<_> = (0..5).map(|_| budget.allows()).collect();
        assert_eq!(allowed, [true, true, false, false, false]);
        assert_eq!(budget.dropped(), 3);
    }
}
