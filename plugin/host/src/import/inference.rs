//! The `inference` import: runs the bundle's graphs on checked inputs.

use std::time::Instant;

use crate::{
    bindings::personaroute::router::inference::{self as wit, Host, InferenceError, NamedTensor},
    context::Context,
    infer::{Elements, InferError, Tensor},
    truncate::truncate,
};

impl Host for Context {
    fn run(
        &mut self,
        graph: String,
        inputs: Vec<NamedTensor>,
    ) -> wasmtime::Result<Result<Vec<NamedTensor>, InferenceError>> {
        let inputs = inputs.into_iter().map(Tensor::from).collect();
        let outputs = self.infer(&graph, inputs);
        Ok(match outputs {
            Ok(outputs) => Ok(outputs.into_iter().map(NamedTensor::from).collect()),
            Err(error) => Err(InferenceError::from(error)),
        })
    }
}

impl Context {
    fn infer(&mut self, graph: &str, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, InferError> {
        if Instant::now() >= self.deadline {
            self.timed_out = true;
            return Err(InferError::Timeout);
        }
        let signature =
            self.services.signature(graph).ok_or_else(|| InferError::UnknownGraph(truncate(graph, 64).to_owned()))?;
        let inputs = signature.check(inputs)?;
        let outputs = self.services.backend.run(graph, &inputs, self.deadline);
        self.timed_out |= matches!(outputs, Err(InferError::Timeout));
        outputs
    }
}

impl From<NamedTensor> for Tensor {
    fn from(tensor: NamedTensor) -> Self {
        let elements = match tensor.elements {
            wit::Elements::Float32(values) => Elements::Float32(values),
            wit::Elements::Int64(values) => Elements::Int64(values),
        };
        Self { name: tensor.name, dims: tensor.dims, elements }
    }
}

impl From<Tensor> for NamedTensor {
    fn from(tensor: Tensor) -> Self {
        let elements = match tensor.elements {
            Elements::Float32(values) => wit::Elements::Float32(values),
            Elements::Int64(values) => wit::Elements::Int64(values),
        };
        Self { name: tensor.name, dims: tensor.dims, elements }
    }
}

impl From<InferError> for InferenceError {
    fn from(error: InferError) -> Self {
        match error {
            InferError::UnknownGraph(graph) => Self::UnknownGraph(graph),
            InferError::InvalidInput(reason) => Self::InvalidInput(reason),
            InferError::Timeout => Self::Timeout,
            InferError::Runtime(reason) => Self::Other(reason),
        }
    }
}
