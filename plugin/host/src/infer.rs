//! Model runtimes: run the graphs of a bundle on named tensors.
//!
//! [`ort`] is the ONNX Runtime backend, [`fake`] the one for tests. A backend only sees inputs that [`signature`] has
//! checked against the bundle's manifest, in the manifest's order.

pub mod fake;
pub(crate) mod ort;
pub(crate) mod signature;

use std::time::Instant;

use crate::{OpenError, RouterOptions, bundle::folder::Bundle};

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
}

impl Elements {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(values) => values.len(),
            Self::Int64(values) => values.len(),
        }
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A tensor bound to one input or output of a graph.
///
/// ```
/// use personaroute_host::infer::{Elements, Tensor};
///
/// let user = Tensor { name: "user".to_owned(), dims: vec![1, 2], elements: Elements::Float32(vec![0.5, -0.5]) };
/// assert_eq!(user.elements.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The input's or output's name, as the manifest spells it.
    pub name: String,
    /// Extent of each dimension; their product is the number of elements.
    pub dims: Vec<u32>,
    /// The elements.
    pub elements: Elements,
}

/// Why a run of a graph failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// The bundle has no graph of this name.
    #[error("the bundle has no graph {0}")]
    UnknownGraph(String),
    /// An input does not fit the graph; says which and what was expected.
    #[error("{0}")]
    InvalidInput(String),
    /// The deadline passed, most likely while waiting for a free session.
    #[error("the deadline of the call has passed")]
    Timeout,
    /// The runtime failed.
    #[error("{0}")]
    Runtime(String),
}

/// A runtime with the graphs of one bundle loaded.
///
/// ```
/// use std::time::Instant;
///
/// use personaroute_host::infer::{Backend, Elements, InferError, Tensor};
///
/// struct Doubles;
///
/// impl Backend for Doubles {
///     fn run(&self, graph: &str, inputs: &[Tensor], _deadline: Instant) -> Result<Vec<Tensor>, InferError> {
///         match inputs {
///             [Tensor { dims, elements: Elements::Float32(values), .. }] => Ok(vec![Tensor {
///                 name: "doubled".to_owned(),
///                 dims: dims.clone(),
///                 elements: Elements::Float32(values.iter().map(|value| 2.0 * value).collect()),
///             }]),
///             _ => Err(InferError::InvalidInput(format!("{graph} takes one float tensor"))),
///         }
///     }
/// }
/// ```
pub trait Backend: Send + Sync {
    /// Runs `graph` (`scorer` or `adapter`) and returns its outputs in the manifest's order.
    ///
    /// `inputs` have been checked against the manifest and stand in its order; each is row-major, with the shape that
    /// its `dims` give.
    ///
    /// # Errors
    ///
    /// Every error of [`InferError`]. A run that has started may end after `deadline`; waiting for a session may not.
    fn run(&self, graph: &str, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, InferError>;
}

/// Opens the graphs of `bundle` on ONNX Runtime, as [`Router::open`](crate::Router::open) does, to run them without the
/// plugin.
///
/// ```no_run
/// use personaroute_host::{RouterOptions, bundle::folder::Bundle, infer};
///
/// let options = RouterOptions::new("configs/bundle", "plugin.wasm");
/// let bundle = Bundle::open(&options.bundle)?;
/// let backend = infer::open(&options, &bundle)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`OpenError::OnnxRuntime`], [`OpenError::Provider`], or [`OpenError::Graph`] when a graph is not what the manifest
/// says.
pub fn open(options: &RouterOptions, bundle: &Bundle) -> Result<Box<dyn Backend>, OpenError> {
    let runtime = ort::Runtime::load(options.onnxruntime.as_deref(), options.provider)?;
    Ok(Box::new(ort::Ort::open(&runtime, bundle, options.limits.sessions)?))
}
