//! A backend for tests: returns what a function computes, and counts its runs.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::{Backend, InferError, Tensor};

type Respond = dyn Fn(&str, &[Tensor]) -> Result<Vec<Tensor>, InferError> + Send + Sync;

/// Returns for every run what one function computes.
///
/// ```
/// use std::time::Instant;
///
/// use personaroute_host::infer::{Backend, InferError, fake::Fake};
///
/// let broken = Fake::new(|_graph, _inputs| Err(InferError::Runtime("no device".to_owned())));
/// assert!(broken.run("scorer", &[], Instant::now()).is_err());
/// assert_eq!(broken.runs(), 1);
/// ```
pub struct Fake {
    respond: Box<Respond>,
    runs: AtomicUsize,
}

impl Fake {
    /// Returns a backend whose every run returns `respond(graph, inputs)`.
    pub fn new(respond: impl Fn(&str, &[Tensor]) -> Result<Vec<Tensor>, InferError> + Send + Sync + 'static) -> Self {
        Self { respond: Box::new(respond), runs: AtomicUsize::new(0) }
    }

    /// Returns the number of runs so far.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Backend for Fake {
    fn run(&self, graph: &str, inputs: &[Tensor], _deadline: Instant) -> Result<Vec<Tensor>, InferError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        (self.respond)(graph, inputs)
    }
}
