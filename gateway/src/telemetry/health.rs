//! Whether the gateway takes requests.

use std::sync::atomic::{AtomicBool, Ordering};

/// Readiness: up from the start, down once the gateway drains.
#[derive(Debug, Default)]
pub struct Health {
    draining: AtomicBool,
}

impl Health {
    /// Marks the gateway as leaving; load balancers stop sending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }
}
