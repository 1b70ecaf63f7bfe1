//! What one call into the plugin carries with it: its services, its users, its limits.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use wasmtime::ResourceLimiter;

use crate::{Limits, Profile, import::log::Budget, services::Services};

/// Most entries of one of the plugin's tables; its own table of functions has under 100.
const MAX_TABLE: usize = 10_000;

/// The users of a call's requests; those with a profile have it in place of the user table's.
pub(crate) type Users = HashMap<String, Option<Profile>, RandomState>;

/// The state of one call; a fresh one for each.
pub(crate) struct Context {
    pub(crate) services: Arc<Services>,
    pub(crate) users: Users,
    pub(crate) deadline: Instant,
    pub(crate) log: Budget,
    /// Set when the host could not serve an import in time.
    pub(crate) timed_out: bool,
    /// Set when the encoder refused a text for lack of room.
    pub(crate) overloaded: bool,
    /// Set when the plugin asked for more memory than it may use.
    pub(crate) out_of_memory: bool,
    memory_bytes: usize,
}

impl Context {
    /// Returns the state of a call that begins now and may take `time`.
    pub(crate) fn new(services: &Arc<Services>, users: Users, limits: &Limits, time: Duration) -> Self {
        Self {
            services: Arc::clone(services),
            users,
            deadline: Instant::now() + time,
            log: Budget::new(limits.log_messages),
            timed_out: false,
            overloaded: false,
            out_of_memory: false,
            memory_bytes: limits.memory_bytes,
        }
    }
}

impl ResourceLimiter for Context {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes;
        self.out_of_memory |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE)
    }
}
