//! The host functions that the plugin calls, as a trait that tests can implement.

use crate::model::{Profile, RoutingError};

/// The host of a call.
pub trait Host {
    /// Runs `graph` and returns every output.
    fn run(&self, graph: &str, inputs: &[Tensor<'_>]) -> Result<Vec<Output>, RoutingError>;

    /// Embeds a text.
    fn embed(&self, text: &str) -> Result<Vec<f32>, RoutingError>;

    /// Returns the profile of a user; `None` for a user never seen.
    fn profile(&self, user: &str) -> Option<Profile>;

    /// Writes one warning to the host's log. It never carries request text.
    fn warn(&self, message: &str);
}

/// An input of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'data> {
    pub name: &'static str,
    pub dims: Vec<u32>,
    pub elements: Elements<'data>,
}

/// An input's elements, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements<'data> {
    Float32(&'data [f32]),
    Int64(&'data [i64]),
}

/// An output of a graph; only f32 ones are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    pub elements: Vec<f32>,
}

/// Removes and returns the output `name`, which must have `n_elements` elements.
pub fn take_output(outputs: &mut [Output], name: &str, n_elements: usize) -> Result<Vec<f32>, RoutingError> {
    let Some(output) = outputs.iter_mut().find(|output| output.name == name) else {
        return Err(RoutingError::Inference(format!("the graph has no output {name}")));
    };
    let elements = std::mem::take(&mut output.elements);
    if elements.len() == n_elements {
        return Ok(elements);
    }
    let found = elements.len();
    Err(RoutingError::Inference(format!("output {name}: expected {n_elements} elements, found {found}")))
}
