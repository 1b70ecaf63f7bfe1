//! The plugin and what its decisions may use, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hints;
use crate::config::{duration::HumanDuration, located::Located, size::ByteSize};

/// The routing plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugin {
    /// The WASM component; by default the one that is embedded in the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<PathBuf>,
    /// Most calls that one plugin instance serves. With more than 1 a call is about 11 µs faster, and the plugin can see
    /// what earlier requests have left in its memory.
    pub instance_calls: Located<u32>,
}

impl Default for Plugin {
    fn default() -> Self {
        Self { wasm: None, instance_calls: 1.into() }
    }
}

/// What decisions may use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// Threads that decide; as many as the machine has cores by default.
    #[schemars(transform = hints::without_default)]
    pub threads: Located<usize>,
    /// Most requests that wait for such a thread; one more is served in the fallback order.
    pub queue: Located<usize>,
    /// Most decisions of one plugin call, for requests that are ready at the same time; 1 switches batching off.
    pub batch: Located<usize>,
    /// Most time of one decision, waiting included.
    pub deadline: Located<HumanDuration>,
    /// Most memory of one plugin instance; at least 2MiB.
    pub memory: Located<ByteSize>,
    /// Most log messages of one plugin call.
    pub log_messages: u32,
    /// Most texts that wait for the encoder.
    pub encoder_queue: Located<usize>,
    /// Most texts whose embeddings are cached.
    pub encoder_cache: u64,
    /// Which device runs the graphs.
    pub provider: Provider,
    /// Index of the GPU of the `cuda` provider.
    pub cuda_device: u32,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).into(),
            queue: 256.into(),
            batch: 8.into(),
            deadline: HumanDuration::secs(1).into(),
            memory: ByteSize(32 << 20).into(),
            log_messages: 16,
            encoder_queue: 64.into(),
            encoder_cache: 16_384,
            provider: Provider::Cpu,
            cuda_device: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Cpu,
    Cuda,
}
