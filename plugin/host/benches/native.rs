//! The plugin's code called natively, and a router with a scorer that returns constants.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench fails when its set-up fails")]

use std::time::{Duration, Instant};

use personaroute_guest::{host as guest, model, route};
use personaroute_host::{
    RouteRequest, Router, Score,
    bundle::{folder::Bundle, manifest::TextEncoder},
    infer::{self, Backend, Elements, Tensor, fake::Fake},
};

use crate::fixture::Fixture;

impl Fixture {
    /// Returns a router whose scorer returns constants.
    pub(crate) fn router_without_runtime(&self) -> Router {
        let manifest = Bundle::open(&self.options.bundle).unwrap().manifest;
        let outputs: Vec<_> = manifest.graphs.scorer.outputs.iter().map(|output| output.name.clone()).collect();
        let (llms, tasks) = (manifest.llms, manifest.tasks);
        let tensor = move |name: &String| {
            let columns = if name == "task_probability" { tasks } else { llms };
            let dims = vec![1, u32::try_from(columns).unwrap()];
            Tensor { name: name.clone(), dims, elements: Elements::Float32(vec![0.5; columns]) }
        };
        let backend = Fake::new(move |_graph, _inputs| Ok(outputs.iter().map(tensor).collect()));
        Router::with_backend(&self.options, Box::new(backend)).unwrap()
    }

    pub(crate) fn native(&self, text: &str) -> Native {
        let bundle = Bundle::open(&self.options.bundle).unwrap();
        let backend = infer::open(&self.options, &bundle).unwrap();
        let request = self.request(text);
        Native { model: model(&bundle), request, host: NativeHost { bundle, backend } }
    }
}

/// The plugin's code and its inputs, without WASM.
pub(crate) struct Native {
    host: NativeHost,
    model: model::Model,
    request: RouteRequest,
}

impl Native {
    /// Does what a router does, from the request to scores by id, without the WASM boundary.
    pub(crate) fn route(&self) -> Vec<Score> {
        let decision = route::route(&self.host, &self.model, &request(&self.request)).unwrap();
        let ranking = &decision.ranking;
        let score = |position: &u32| {
            let position = *position as usize;
            Score {
                llm: self.request.candidates[position].llm.clone(),
                utility: ranking.utilities[position],
                effect: ranking.effects[position],
                cost: ranking.costs[position],
                uncertainty: ranking.uncertainties[position],
                excluded: None,
            }
        };
        ranking.order.iter().map(score).collect()
    }
}

struct NativeHost {
    bundle: Bundle,
    backend: Box<dyn Backend>,
}

impl guest::Host for NativeHost {
    fn run(&self, graph: &str, inputs: &[guest::Tensor<'_>]) -> Result<Vec<guest::Output>, model::RoutingError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        let outputs = self.backend.run(graph, &inputs, Instant::now() + Duration::from_secs(1)).unwrap();
        let output = |tensor: Tensor| match tensor.elements {
            Elements::Float32(elements) => Some(guest::Output { name: tensor.name, elements }),
            Elements::Int64(_) => None,
        };
        Ok(outputs.into_iter().filter_map(output).collect())
    }

    fn embed(&self, _text: &str) -> Result<Vec<f32>, model::RoutingError> {
        Err(model::RoutingError::Inference("this bench has no encoder".to_owned()))
    }

    fn profile(&self, user: &str) -> Option<model::Profile> {
        let row = self.bundle.users.get(user)?;
        Some(model::Profile {
            embedding: row.embedding,
            state: model::UserState::Known,
            interactions: row.interactions,
            preference: row.preference,
            certainty: row.certainty,
        })
    }

    fn warn(&self, _message: &str) {}
}

fn tensor(tensor: &guest::Tensor<'_>) -> Tensor {
    let elements = match tensor.elements {
        guest::Elements::Float32(values) => Elements::Float32(values.to_vec()),
        guest::Elements::Int64(values) => Elements::Int64(values.to_vec()),
    };
    Tensor { name: tensor.name.to_owned(), dims: tensor.dims.clone(), elements }
}

fn model(bundle: &Bundle) -> model::Model {
    let text_encoder = match &bundle.manifest.text_encoder {
        TextEncoder::Lexical(lexical) => model::TextEncoder::Lexical(bundle.manifest.encoding_version, *lexical),
        TextEncoder::Embedding(embedding) => model::TextEncoder::Embedding(u32::try_from(embedding.dim).unwrap()),
    };
    model::Model {
        text_encoder,
        tasks: bundle.tasks.tasks.iter().map(|task| task.name.clone()).collect(),
        llm_columns: u32::try_from(bundle.manifest.llms).unwrap(),
        prior: bundle.manifest.prior.clone(),
    }
}

fn request(request: &RouteRequest) -> model::Request {
    let mut candidates = model::Candidates::default();
    for (candidate, column) in request.candidates.iter().zip(0..) {
        candidates.ids.push_str(&candidate.llm);
        candidates.id_ends.push(u32::try_from(candidates.ids.len()).unwrap());
        candidates.columns.push(column);
        candidates.input_prices.push(candidate.input_price);
        candidates.output_prices.push(candidate.output_price);
        candidates.context_windows.push(candidate.context_window.unwrap_or(model::NONE));
    }
    model::Request {
        user: request.user.clone(),
        text: request.text.clone(),
        task: request.task.clone(),
        preference: request.preference,
        candidates,
        prompt_tokens: request.prompt_tokens,
    }
}
