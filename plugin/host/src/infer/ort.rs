//! The ONNX Runtime backend: a pool of sessions for each graph. No module outside this folder names an `ort` type.
//!
//! A run happens on the calling thread. Handing it to a session thread and back would cost two thread wake-ups, which
//! take longer than the run of a small scorer.

mod runtime;
mod session;

use std::time::Instant;

use personaroute_bundle::{folder::Bundle, manifest::GraphSpec};

pub(crate) use self::{
    runtime::{Model, Runtime},
    session::SessionPool,
};
use super::{Backend, InferError, Tensor, signature::Signature};
use crate::OpenError;

/// The scorer and the adapter of one bundle.
pub(crate) struct Ort {
    scorer: SessionPool,
    adapter: SessionPool,
}

impl Ort {
    /// Loads the graphs of `bundle` and compares their inputs and outputs with its manifest.
    pub(crate) fn open(runtime: &Runtime, bundle: &Bundle, sessions: u32) -> Result<Self, OpenError> {
        let open = |name: &str, graph: &GraphSpec, copies| {
            let signature = Signature::from(graph);
            let file = bundle.source.path(&graph.file);
            let content = bundle.read(&graph.file)?;
            let model = Model::Memory { file: &file, content: &content };
            SessionPool::open(runtime, &model, &signature, copies)
                .map_err(|reason| OpenError::Graph { graph: name.to_owned(), reason })
        };
        let graphs = &bundle.manifest.graphs;
        // Adaptations are far rarer than decisions: one copy of the adapter is enough.
        Ok(Self { scorer: open("scorer", &graphs.scorer, sessions)?, adapter: open("adapter", &graphs.adapter, 1)? })
    }
}

impl Backend for Ort {
    fn run(&self, graph: &str, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, InferError> {
        match graph {
            "scorer" => self.scorer.run(inputs, deadline),
            "adapter" => self.adapter.run(inputs, deadline),
            _ => Err(InferError::UnknownGraph(graph.to_owned())),
        }
    }
}
