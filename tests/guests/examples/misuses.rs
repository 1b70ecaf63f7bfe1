//! Calls the host with invalid inputs, by the text, and returns the host's error: `graph` an
//! unknown graph, `none` no inputs, `name` an unknown input, `type` integers for floats, `dims` dims that do not match
//! their elements, `huge` dims whose product overflows, `shape` another extent than the manifest's, `index` n-gram ids
//! beyond the table, `embed` an encoder the bundle may not have.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::bindings::personaroute::router::encoder;
use personaroute_test_guests::bindings::personaroute::router::inference::{self, Elements, NamedTensor};
use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export, valid_decision};

struct Misuses;

impl Plugin for Misuses {
    fn route(model: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let text = request.text.as_str();
        if text == "embed" {
            let embedded = encoder::embed(text);
            return embedded
                .map(|_| valid_decision(request))
                .map_err(|error| RoutingError::Inference(format!("{error:?}")));
        }
        let graph = if text == "graph" { "no such graph" } else { "scorer" };
        let ran = inference::run(graph, &inputs(model, text));
        ran.map(|_| valid_decision(request)).map_err(|error| RoutingError::Inference(format!("{error:?}")))
    }
}

/// Inputs of one row under the lexical encoder, with the fault that `fault` names.
fn inputs(model: &Model, fault: &str) -> Vec<NamedTensor> {
    let zeroes = |name: &str, extent: usize| NamedTensor {
        name: name.into(),
        dims: vec![1, u32::try_from(extent).unwrap_or(0)],
        elements: Elements::Float32(vec![0.0; extent]),
    };
    let ids = if fault == "index" { i64::MAX } else { 1 };
    let ngrams = NamedTensor { name: "ngrams".into(), dims: vec![1, 1], elements: Elements::Int64(vec![ids]) };
    let mut user = zeroes("user", model.prior.len());
    match fault {
        "name" => user.name = "person".into(),
        "type" => user.elements = Elements::Int64(vec![0; model.prior.len()]),
        "dims" => user.dims = vec![2, u32::try_from(model.prior.len()).unwrap_or(0)],
        "huge" => user.dims = vec![u32::MAX; 8],
        "shape" => user = zeroes("user", model.prior.len() + 1),
        "none" => return Vec::new(),
        _ => {}
    }
    vec![user, zeroes("preference", 1), zeroes("task", model.tasks.len()), ngrams]
}

export!(Misuses);
