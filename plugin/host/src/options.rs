//! The options with which a router is opened: bundle, plugin, provider, limits.

use std::{path::PathBuf, time::Duration};

use personaroute_bundle::source::BundleSource;

use crate::{OpenError, PluginSource};

/// The bundle, the plugin, the native runtime, and the limits of a call.
///
/// ```
/// use personaroute_host::{Provider, RouterOptions};
///
/// let options = RouterOptions::new("configs/bundle", "plugin/personaroute.wasm");
/// assert_eq!(options.provider, Provider::Cpu);
/// assert!(options.onnxruntime.is_none(), "ORT_DYLIB_PATH or the installed tree names the runtime");
/// ```
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// The model bundle: a folder, or files in the memory of the program.
    pub bundle: BundleSource,
    /// The routing plugin: a WASM component of the world `personaroute:router/router`, in a file or in memory.
    pub plugin: PluginSource,
    /// ONNX Runtime's shared library; `None` uses the one that the environment variable `ORT_DYLIB_PATH` names, else the
    /// one of the installed tree ([`installed`](crate::installed)).
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the text encoder (`model.onnx`, `tokenizer.json`); `None` uses the bundle's `encoder/`, else the one of the
    /// installed tree.
    /// Only bundles with the `embedding` encoder need one.
    pub encoder: Option<PathBuf>,
    /// The device that runs the graphs.
    pub provider: Provider,
    /// The limits of one call and of all calls together.
    pub limits: Limits,
}

impl RouterOptions {
    /// Returns options with the CPU provider and default limits.
    pub fn new(bundle: impl Into<BundleSource>, plugin: impl Into<PluginSource>) -> Self {
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

/// The limits of one call and of all calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of linear memory of one plugin instance. Default 32 MiB: a batch of 256 requests with 10 LLMs
    /// needs under 4 MiB, and a thousand LLMs a request still fit.
    pub memory_bytes: usize,
    /// Longest duration of one call, encoder and inference included. Default 1 s: ten times an uncached text of 256 tokens.
    pub deadline: Duration,
    /// Most log messages of one call; later ones are counted and dropped. Default 16.
    pub log_messages: u32,
    /// Most concurrent calls; another one fails with [`RouteError::Overloaded`](crate::RouteError::Overloaded). Default 64.
    pub concurrency: u32,
    /// Most calls that one plugin instance serves. With 1, the default, each call has a fresh instance, whose memory,
    /// tables and globals hold nothing of an earlier call; it costs about 11 µs. With more, a plugin can see what earlier
    /// requests, of other users too, have left in its memory.
    pub instance_calls: u32,
    /// Most requests of one call into the plugin; a longer batch is split into several calls. Default 64.
    pub batch: u32,
    /// Sessions of the scorer and of the text encoder, which bound their concurrent runs; other calls wait. Default: the
    /// number of cores.
    pub sessions: u32,
    /// Most texts that wait for the encoder; another one fails with
    /// [`RouteError::Overloaded`](crate::RouteError::Overloaded). Default 64.
    pub encoder_queue: usize,
    /// Most cached text embeddings. Default 16,384, about 25 MiB at 384 dimensions.
    pub encoder_cache: u64,
}

impl Limits {
    /// Refuses limits under which no call could run.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let at_least_one = |name, value: u64| match value {
            0 => Err(OpenError::Limit { name, reason: "must be at least 1" }),
            _ => Ok(()),
        };
        at_least_one("concurrency", self.concurrency.into())?;
        at_least_one("instance_calls", self.instance_calls.into())?;
        at_least_one("batch", self.batch.into())?;
        at_least_one("sessions", self.sessions.into())?;
        at_least_one("encoder_queue", u64::try_from(self.encoder_queue).unwrap_or(u64::MAX))?;
        if self.deadline < Duration::from_millis(1) {
            return Err(OpenError::Limit { name: "deadline", reason: "must be at least 1 ms" });
        }
        if self.memory_bytes < 2 << 20 {
            return Err(OpenError::Limit { name: "memory_bytes", reason: "must be at least 2 MiB" });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            memory_bytes: 32 << 20,
            deadline: Duration::from_secs(1),
            log_messages: 16,
            concurrency: 64,
            instance_calls: 1,
            batch: 64,
            sessions: u32::try_from(cores).unwrap_or(u32::MAX),
            encoder_queue: 64,
            encoder_cache: 16_384,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_under_which_no_call_could_run_are_refused_by_name() {
        let refusal = |limits: Limits| limits.check().unwrap_err().to_string();
        assert!(Limits::default().check().is_ok());
        assert_eq!(refusal(Limits { batch: 0, ..Limits::default() }), "limit batch: must be at least 1");
        let deadline = Limits { deadline: Duration::ZERO, ..Limits::default() };
        assert_eq!(refusal(deadline), "limit deadline: must be at least 1 ms");
        let memory = Limits { memory_bytes: 0, ..Limits::default() };
        assert_eq!(refusal(memory), "limit memory_bytes: must be at least 2 MiB");
    }
}
