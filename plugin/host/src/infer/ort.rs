//! ONNX Runtime as a backend: a pool of sessions for each graph. Nothing outside this folder names an `ort` type.
//!
//! A run happens on the calling thread: handing it to a session thread and back costs two wake-ups, more than the run
//! of a small scorer itself.

mod runtime;
mod session;

use std::time::Instant;

use personaroute_bundle::{folder::Bundle, manifest::GraphSpec};

pub(crate) use self::{runtime::Runtime, session::Pool};
use super::{Backend, InferError, Tensor, contract::Contract};
use crate::OpenError;

/// The scorer and the adapter of one bundle.
pub(crate) struct Ort {
    scorer: Pool,
    adapter: Pool,
}

impl Ort {
    /// Loads the graphs of `bundle` and holds them against its manifest.
    pub(crate) fn open(runtime: &Runtime, bundle: &Bundle, sessions: u32) -> Result<Self, OpenError> {
        let open = |name: &str, graph: &GraphSpec, copies| {
            let contract = Contract::from(graph);
            Pool::open(runtime, &bundle.dir.join(&graph.file), &contract, copies)
                .map_err(|reason| OpenError::Graph { graph: name.to_owned(), reason })
        };
        let graphs = &bundle.manifest.graphs;
        // Users adapt far less often than they ask: one copy of the adapter is enough.
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
