//! The inputs and outputs of a graph, and the check of untrusted inputs against them.

use personaroute_bundle::manifest::{Dim, Element, GraphSpec, TensorSpec};

use super::{Elements, InferError, Tensor};

/// Largest value of a symbolic dimension. A batch has at most 256 requests, an interaction history 4,096 entries, and a
/// text fewer ids than that.
const MAX_EXTENT: usize = 4096;

/// Most elements of one input: 16 MiB of floats.
const MAX_ELEMENTS: usize = 4 << 20;

/// The inputs and outputs of one graph, as the manifest states them.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
}

impl From<&GraphSpec> for Signature {
    fn from(graph: &GraphSpec) -> Self {
        Self { inputs: graph.inputs.clone(), outputs: graph.outputs.clone() }
    }
}

impl Signature {
    /// Returns the inputs in the manifest's order.
    ///
    /// Each input must be present once, have the manifest's element type, and have dims that agree with the manifest,
    /// with the other inputs and with the number of its elements.
    pub(crate) fn check(&self, mut inputs: Vec<Tensor>) -> Result<Vec<Tensor>, InferError> {
        if inputs.len() != self.inputs.len() {
            return Err(invalid(format!("{} inputs instead of {}", inputs.len(), self.inputs.len())));
        }
        let mut extents = Extents::default();
        for (idx, spec) in self.inputs.iter().enumerate() {
            let found = inputs.iter().skip(idx).position(|input| input.name == spec.name);
            let Some(offset) = found else { return Err(invalid(format!("input {} is missing", spec.name))) };
            inputs.swap(idx, idx + offset);
            let Some(input) = inputs.get(idx) else { continue };
            check_type(spec, input)?;
            check_dims(spec, input, &mut extents)?;
        }
        Ok(inputs)
    }
}

fn check_type(spec: &TensorSpec, input: &Tensor) -> Result<(), InferError> {
    match (spec.element, &input.elements) {
        (Element::F32, Elements::Float32(_)) | (Element::I64, Elements::Int64(_)) => Ok(()),
        (Element::F32, Elements::Int64(_)) => Err(invalid(format!("input {} takes float32, not int64", spec.name))),
        (Element::I64, Elements::Float32(_)) => Err(invalid(format!("input {} takes int64, not float32", spec.name))),
    }
}

fn check_dims<'a>(spec: &'a TensorSpec, input: &Tensor, extents: &mut Extents<'a>) -> Result<(), InferError> {
    let name = &spec.name;
    if input.dims.len() != spec.dims.len() {
        return Err(invalid(format!(
            "input {name} has {} dimensions instead of {}",
            input.dims.len(),
            spec.dims.len()
        )));
    }
    let mut elements = 1_usize;
    for (&extent, dim) in input.dims.iter().zip(&spec.dims) {
        let extent = usize::try_from(extent).unwrap_or(usize::MAX);
        let expected = match dim {
            Dim::Fixed(fixed) => *fixed,
            Dim::Symbol(symbol) => extents.bind(symbol, extent),
        };
        if extent != expected {
            return Err(invalid(format!("input {name}: {dim} is {extent} instead of {expected}")));
        }
        if extent == 0 || (extent > MAX_EXTENT && matches!(dim, Dim::Symbol(_))) {
            return Err(invalid(format!("input {name}: {dim} is {extent}, outside 1 to {MAX_EXTENT}")));
        }
        elements = elements
            .checked_mul(extent)
            .filter(|&elements| elements <= MAX_ELEMENTS)
            .ok_or_else(|| invalid(format!("input {name} has more than {MAX_ELEMENTS} elements")))?;
    }
    if input.elements.len() != elements {
        let got = input.elements.len();
        return Err(invalid(format!("input {name} has {got} elements, its dims say {elements}")));
    }
    Ok(())
}

/// The symbolic dimensions bound so far. A graph has only a few, so a list is faster than a map.
#[derive(Default)]
struct Extents<'a>(Vec<(&'a str, usize)>);

impl<'a> Extents<'a> {
    /// Returns the value bound to `symbol`; the first call binds it to `extent`.
    fn bind(&mut self, symbol: &'a str, extent: usize) -> usize {
        if let Some((_, bound)) = self.0.iter().find(|(known, _)| *known == symbol) {
            return *bound;
        }
        self.0.push((symbol, extent));
        extent
    }
}

fn invalid(reason: String) -> InferError {
    InferError::InvalidInput(reason)
}

#[cfg(test)]
mod tests;
