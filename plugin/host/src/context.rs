//! The host state of one call into the plugin: services, users, deadline, limits.

mod log_budget;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use wasmtime::ResourceLimiter;

use self::log_budget::LogBudget;
use crate::{Limits, Profile, services::Services};

/// Most elements of one WASM table; the plugin's own table of functions has under 100.
const MAX_TABLE: usize = 10_000;

/// The users of a call's requests, each with the profile that replaces the user table's, if the request has one.
pub(crate) type Users = HashMap<String, Option<Profile>, RandomState>;

/// The host state of one call; each call has its own.
pub(crate) struct Context {
    pub(crate) services: Arc<Services>,
    pub(crate) users: Users,
    pub(crate) deadline: Instant,
    pub(crate) log: LogBudget,
    /// Set when an import did not finish before the deadline.
    pub(crate) timed_out: bool,
    /// Set when the encoder queue was full.
    pub(crate) overloaded: bool,
    /// Set when the plugin asked for more memory than it may use.
    pub(crate) out_of_memory: bool,
    memory_bytes: usize,
}

impl Context {
    /// Returns the state of a call that starts now and must end within `time`.
    pub(crate) fn new(services: &Arc<Services>, users: Users, limits: &Limits, time: Duration) -> Self {
        Self {
            services: Arc::clone(services),
            users,
            deadline: Instant::now() + time,
            log: LogBudget::new(limits.log_messages),
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
