//! What a router is opened with: files, provider, limits.

use std::{path::PathBuf, time::Duration};

/// Where the bundle, the plugin and the native runtime lie, and how much a call may use.
///
/// ```
/// use personaroute_host::{Provider, RouterOptions};
///
/// let options = RouterOptions::new("configs/bundle", "plugin/personaroute.wasm");
/// assert_eq!(options.provider, Provider::Cpu);
/// assert!(options.onnxruntime.is_none(), "ORT_DYLIB_PATH names the runtime");
/// ```
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// Folder of the model bundle.
    pub bundle: PathBuf,
    /// The routing plugin: a WASM component of the world `personaroute:router/router`.
    pub plugin: PathBuf,
    /// ONNX Runtime's shared library; without it the environment variable `ORT_DYLIB_PATH` names it.
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the text encoder (`model.onnx`, `tokenizer.json`); without it the bundle's `encoder/`.
    /// Only bundles with the `embedding` encoder need one.
    pub encoder: Option<PathBuf>,
    /// Which device runs the graphs.
    pub provider: Provider,
    /// What one call, and all calls together, may use.
    pub limits: Limits,
}

impl RouterOptions {
    /// Returns options with the CPU provider and default limits.
    pub fn new(bundle: impl Into<PathBuf>, plugin: impl Into<PathBuf>) -> Self {
        Self {
            bundle: bundle.into(),
            plugin: plugin.into(),
            onnxruntime: None,
            encoder: None,
            provider: Provider::Cpu,
            limits: Limits::default(),
        }
    }
}

/// The device that runs the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// ONNX Runtime's CPU kernels.
    #[default]
    Cpu,
    /// The CUDA execution provider; needs the crate feature `cuda` and a GPU build of ONNX Runtime.
    Cuda {
        /// Index of the GPU.
        device: u32,
    },
}

/// What one call, and all calls together, may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of linear memory of one plugin instance. Default 32 MiB: a batch of 256 requests with 10 LLMs
    /// needs under 4 MiB, and a thousand LLMs a request still fit.
    pub memory_bytes: usize,
    /// Most time of one call, encoder and inference included. Default 1 s: ten times an uncached text of 256 tokens.
    pub deadline: Duration,
    /// Most log messages of one call; further ones are counted and dropped. Default 16.
    pub log_messages: u32,
    /// Most calls at the same time; one more is refused as overloaded. Default 64.
    pub concurrency: u32,
    /// Most requests of one call into the plugin; longer batches are cut into several calls. Default 64.
    pub batch: u32,
    /// Most copies of each graph that run at the same time; further calls wait. Default: one for each core.
    pub sessions: u32,
    /// Most texts that wait for the encoder; one more is refused as overloaded. Default 64.
    pub encoder_queue: usize,
    /// Most texts whose embeddings are remembered. Default 16,384, about 25 MiB at 384 dimensions.
    pub encoder_cache: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            memory_bytes: 32 << 20,
            deadline: Duration::from_secs(1),
            log_messages: 16,
            concurrency: 64,
            batch: 64,
            sessions: u32::try_from(cores).unwrap_or(u32::MAX),
            encoder_queue: 64,
            encoder_cache: 16_384,
        }
    }
}
