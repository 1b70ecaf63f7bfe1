//! `Host` on the component's imports.

use super::bindings::personaroute::router::{encoder, inference, log, users};
use crate::host::{Elements, Host, Output, Tensor};
use crate::model::{Profile, RoutingError};

/// The imports.
pub(super) struct WitHost;

impl Host for WitHost {
    fn run(&self, graph: &str, inputs: &[Tensor<'_>]) -> Result<Vec<Output>, RoutingError> {
        let inputs: Vec<inference::NamedTensorParam<'_>> = inputs.iter().map(named).collect();
        let outputs = inference::run(graph, &inputs).map_err(|error| failed(graph, &inference_message(error)))?;
        Ok(outputs.into_iter().filter_map(output).collect())
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, RoutingError> {
        encoder::embed(text).map_err(|error| {
            let message = match error {
                encoder::EncoderError::Absent => "absent".into(),
                encoder::EncoderError::Overloaded => "overloaded".into(),
                encoder::EncoderError::Timeout => "timeout".into(),
                encoder::EncoderError::Other(message) => message,
            };
            failed("encoder", &message)
        })
    }

    fn profile(&self, user: &str) -> Option<Profile> {
        users::profile(user).map(Into::into)
    }

    fn warn(&self, message: &str) {
        log::write(log::Level::Warn, message);
    }
}

fn named<'data>(tensor: &'data Tensor<'data>) -> inference::NamedTensorParam<'data> {
    let elements = match tensor.elements {
        Elements::Float32(elements) => inference::ElementsParam::Float32(elements),
        Elements::Int64(elements) => inference::ElementsParam::Int64(elements),
    };
    inference::NamedTensorParam { name: tensor.name, dims: &tensor.dims, elements }
}

/// Converts a float output; no graph of a bundle has integer outputs.
fn output(tensor: inference::NamedTensorResult) -> Option<Output> {
    match tensor.elements {
        inference::ElementsResult::Float32(elements) => Some(Output { name: tensor.name, elements }),
        inference::ElementsResult::Int64(_) => None,
    }
}

fn inference_message(error: inference::InferenceError) -> String {
    match error {
        inference::InferenceError::UnknownGraph(name) => format!("no graph {name}"),
        inference::InferenceError::InvalidInput(message) => format!("invalid input: {message}"),
        inference::InferenceError::Timeout => "timeout".into(),
        inference::InferenceError::Other(message) => message,
    }
}

fn failed(what: &str, message: &str) -> RoutingError {
    RoutingError::Inference(format!("{what}: {message}"))
}
