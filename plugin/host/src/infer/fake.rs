//! A backend without a model runtime: answers from a function, and counts.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::{Backend, InferError, Tensor};

type Answer = dyn Fn(&str, &[Tensor]) -> Result<Vec<Tensor>, InferError> + Send + Sync;

/// Answers every run from one function.
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
    answer: Box<Answer>,
    runs: AtomicUsize,
}

impl Fake {
    /// Returns a backend that answers with `answer(graph, inputs)`.
    pub fn new(answer: impl Fn(&str, &[Tensor]) -> Result<Vec<Tensor>, InferError> + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), runs: AtomicUsize::new(0) }
    }

    /// Returns how many runs were asked for.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Backend for Fake {
    fn run(&self, graph: &str, inputs: &[Tensor], _deadline: Instant) -> Result<Vec<Tensor>, InferError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        (self.answer)(graph, inputs)
    }
}
