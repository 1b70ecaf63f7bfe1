//! Loads the ONNX Runtime library once per process and opens sessions on one provider.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use crate::{OpenError, Provider, installed};

/// ONNX Runtime allows one environment per process: the first router creates it and all routers share it.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// An ONNX model.
pub(crate) enum Model<'a> {
    /// A file, which may refer to others with its weights.
    File(&'a Path),
    /// The content of a model, and the file that errors name.
    Memory { file: &'a Path, content: &'a [u8] },
}

impl Model<'_> {
    /// Returns the file that errors name.
    pub(crate) fn file(&self) -> &Path {
        match self {
            Self::File(file) | Self::Memory { file, .. } => file,
        }
    }
}

/// ONNX Runtime, ready to open sessions on one provider.
#[derive(Clone)]
pub(crate) struct Runtime {
    environment: Environment,
    provider: Provider,
}

impl Runtime {
    /// Loads the library at `path`, else the one that `ORT_DYLIB_PATH` names, else the one of the installed tree.
    pub(crate) fn load(path: Option<&Path>, provider: Provider) -> Result<Self, OpenError> {
        check_compiled(provider)?;
        let path = library(path)?;
        let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((first, environment)) = &*loaded {
            if *first == path {
                return Self { environment: environment.clone(), provider }.with_device();
            }
            let (first, path) = (first.display(), path.display());
            return Err(OpenError::OnnxRuntime(format!(
                "onnxruntime: {path} cannot be loaded, as this process already runs {first}"
            )));
        }
        let environment = start(&path)
            .map_err(|reason| OpenError::OnnxRuntime(format!("onnxruntime: {}: {reason}", path.display())))?;
        *loaded = Some((path, environment.clone()));
        Self { environment, provider }.with_device()
    }

    /// Refuses a provider that this machine or this build of ONNX Runtime does not have.
    fn with_device(self) -> Result<Self, OpenError> {
        match (self.provider, self.builder()) {
            (Provider::Cuda { .. }, Err(error)) => {
                Err(OpenError::Provider { provider: "cuda", reason: error.to_string() })
            }
            (Provider::Cpu | Provider::Cuda { .. }, _) => Ok(self),
        }
    }

    /// Opens one session of a model.
    pub(crate) fn session(&self, model: &Model<'_>) -> Result<Session, String> {
        let session = self.builder().and_then(|mut builder| match model {
            Model::File(file) => builder.commit_from_file(file),
            Model::Memory { content, .. } => builder.commit_from_memory(content),
        });
        session.map_err(|error| format!("{}: {error}", model.file().display()))
    }

    fn builder(&self) -> ort::Result<SessionBuilder> {
        let builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // One thread per run: calls run in parallel already, and a thread pool costs more than a small graph.
            .with_intra_threads(1)?
            .with_log_level(LogLevel::Warning)?;
        // For a small graph the process's allocator is faster than ONNX Runtime's own arena.
        let cpu = ort::ep::CPU::default().with_arena_allocator(false).build();
        self.with_provider(builder)?.with_execution_providers([cpu]).map_err(Into::into)
    }

    #[cfg(feature = "cuda")]
    fn with_provider(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        let Provider::Cuda { device } = self.provider else { return Ok(builder) };
        let device = i32::try_from(device).unwrap_or(i32::MAX);
        let cuda = ort::ep::CUDA::default().with_device_id(device).build().error_on_failure();
        Ok(builder.with_execution_providers([cuda])?)
    }

    #[cfg(not(feature = "cuda"))]
    #[expect(clippy::unnecessary_wraps, reason = "registering a provider can fail where one is compiled in")]
    fn with_provider(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        match self.provider {
            // `load` refuses every provider that is not compiled in.
            Provider::Cpu | Provider::Cuda { .. } => Ok(builder),
        }
    }
}

fn check_compiled(provider: Provider) -> Result<(), OpenError> {
    match provider {
        Provider::Cuda { .. } if !cfg!(feature = "cuda") => Err(OpenError::Provider {
            provider: "cuda",
            reason: "this build has no CUDA support: build with the feature `cuda`".to_owned(),
        }),
        Provider::Cpu | Provider::Cuda { .. } => Ok(()),
    }
}

fn library(path: Option<&Path>) -> Result<PathBuf, OpenError> {
    let variable = || env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let named = path.map(Path::to_owned).or_else(variable).or_else(|| installed::part(installed::ONNXRUNTIME));
    let named = named.ok_or_else(|| {
        let reason = "onnxruntime: no library is named: set the option or ORT_DYLIB_PATH to libonnxruntime.so";
        OpenError::OnnxRuntime(reason.to_owned())
    })?;
    named.canonicalize().map_err(|error| OpenError::OnnxRuntime(format!("onnxruntime: {}: {error}", named.display())))
}

fn start(path: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    let environment =
        builder.with_name("personaroute").with_telemetry(false).build().map_err(|error| error.to_string())?;
    // At the default level each run formats log lines that are then discarded.
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let error = Runtime::load(Some(Path::new("/nowhere/libonnxruntime.so")), Provider::Cpu).err().unwrap();
        assert!(error.to_string().starts_with("onnxruntime: /nowhere/libonnxruntime.so: "), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_is_refused_where_it_is_not_compiled_in() {
        let error = Runtime::load(None, Provider::Cuda { device: 0 }).err().unwrap();
        assert_eq!(error.to_string(), "provider cuda: this build has no CUDA support: build with the feature `cuda`");
    }
}
