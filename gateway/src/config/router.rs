//! What decisions may use.

use std::time::Duration;

pub use super::raw::Provider;
use super::{
    error::Rejection,
    range::{bytes, count, duration, value},
    raw,
};

/// What decisions may use; the keys of the file have the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Threads that decide.
    pub threads: usize,
    /// Most requests that wait for such a thread.
    pub queue: usize,
    /// Most decisions of one plugin call.
    pub batch: usize,
    /// Most time of one decision, waiting included.
    pub deadline: Duration,
    /// Most bytes of memory of one plugin instance.
    pub memory: usize,
    /// Most calls that one plugin instance serves.
    pub instance_calls: u32,
    /// Most log messages of one plugin call.
    pub log_messages: u32,
    /// Most texts that wait for the encoder.
    pub encoder_queue: usize,
    /// Most texts whose embeddings are cached.
    pub encoder_cache: u64,
    /// Which device runs the graphs.
    pub provider: Provider,
    /// Index of the GPU of the `cuda` provider.
    pub cuda_device: u32,
}

/// The least memory in which the host runs a plugin.
const LEAST_MEMORY: usize = 2 << 20;

impl Router {
    pub(super) fn check(raw: &raw::Router, plugin: &raw::Plugin) -> Result<Self, Rejection> {
        let memory = bytes("router.memory", &raw.memory)?;
        if memory < LEAST_MEMORY {
            return Err(raw.memory.reject(value("router.memory", "must be at least 2MiB", raw.memory.value)));
        }
        Ok(Self {
            threads: count("router.threads", &raw.threads)?,
            queue: count("router.queue", &raw.queue)?,
            batch: count("router.batch", &raw.batch)?,
            deadline: duration("router.deadline", &raw.deadline)?,
            memory,
            instance_calls: count("plugin.instance_calls", &plugin.instance_calls)?,
            log_messages: raw.log_messages,
            encoder_queue: count("router.encoder_queue", &raw.encoder_queue)?,
            encoder_cache: raw.encoder_cache,
            provider: raw.provider,
            cuda_device: raw.cuda_device,
        })
    }
}
