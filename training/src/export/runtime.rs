//! Runs exported graphs in ONNX Runtime: the only file of the trainer that names `ort`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{Shape, TensorRef};
use personaroute_host::installed;

/// ONNX Runtime allows one environment in the life of a process.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// A graph ready to run.
#[derive(Debug)]
pub struct Graph {
    session: Session,
}

/// Elements of an input.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

/// An input of a graph.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Extents.
    pub dims: &'a [i64],
    /// Elements, row-major.
    pub elements: Elements<'a>,
}

impl Graph {
    /// Opens a graph from its file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Self::load(&bytes).with_context(|| format!("open {}", path.display()))
    }

    /// Opens a graph from the content of its file; `ORT_DYLIB_PATH` names the runtime's library, else the one of the installed tree is used.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let environment = environment()?;
        let build = || -> ort::Result<Session> {
            Session::builder(&environment)?.with_intra_threads(1)?.commit_from_memory(bytes)
        };
        Ok(Self { session: build().map_err(|error| anyhow::anyhow!("ONNX Runtime: {error}"))? })
    }

    /// Runs the graph on inputs in the graph's order and returns its outputs in order, all of 32-bit floats.
    pub fn run(&mut self, inputs: &[Input<'_>]) -> Result<Vec<Vec<f32>>> {
        let values = inputs.iter().map(value).collect::<ort::Result<Vec<_>>>().context("inputs")?;
        let outputs = self.session.run(values.as_slice()).map_err(|error| anyhow::anyhow!("ONNX Runtime: {error}"))?;
        let floats = outputs.values().map(|value| value.try_extract_tensor::<f32>().map(|(_, data)| data.to_vec()));
        floats.collect::<ort::Result<_>>().context("outputs")
    }
}

fn value<'a>(input: &Input<'a>) -> ort::Result<SessionInputValue<'a>> {
    let shape = Shape::new(input.dims.iter().copied());
    match input.elements {
        Elements::F32(data) => TensorRef::from_array_view((shape, data)).map(SessionInputValue::from),
        Elements::I64(data) => TensorRef::from_array_view((shape, data)).map(SessionInputValue::from),
    }
}

fn environment() -> Result<Environment> {
    let mut made = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*made {
        return Ok(environment.clone());
    }
    let named = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = named
        .or_else(|| installed::part(installed::ONNXRUNTIME))
        .context("ORT_DYLIB_PATH does not name libonnxruntime.so, and none is installed beside this program")?;
    let name = library.display();
    let builder = ort::init_from(&library).map_err(|error| anyhow::anyhow!("load {name}: {error}"))?;
    let built = builder.with_name("personaroute-train").with_telemetry(false).build();
    let environment = built.map_err(|error| anyhow::anyhow!("start {name}: {error}"))?;
    Ok(made.insert(environment).clone())
}
