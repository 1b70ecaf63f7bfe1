//! The steps of a request: validate, build the inputs, run the scorer, rank, explain.

use crate::explain::explain;
use crate::features::{Features, User};
use crate::host::{Host, take_output};
use crate::model::{Decision, Model, Request, RoutingError, TaskGuess};
use crate::policy::{self, Predictions};
use crate::validate::{self, Validated};

/// Most requests of one scorer run. Larger runs gain nothing, and all ids of a run are in memory at once: 256 rows of 512
/// ids take a megabyte.
pub const MAX_ROWS: usize = 256;

/// Ranks the candidates of one request.
pub fn route(host: &impl Host, model: &Model, request: &Request) -> Result<Decision, RoutingError> {
    let validated = validate::request(model, request)?;
    let mut features = Features::default();
    let user = features.push(host, model, request, validated)?;
    let outputs = Outputs::run(host, model, &features)?;
    decide(model, &Row { request, validated, user }, &outputs, 0)
}

/// Ranks the candidates of many requests and returns one result for each, in order.
///
/// Up to [`MAX_ROWS`] requests share a run of the scorer. An invalid request does not affect the others.
pub fn route_batch(host: &impl Host, model: &Model, requests: &[Request]) -> Vec<Result<Decision, RoutingError>> {
    requests.chunks(MAX_ROWS).flat_map(|chunk| route_chunk(host, model, chunk)).collect()
}

/// A request with its validation result and its user.
struct Row<'request> {
    request: &'request Request,
    validated: Validated,
    user: User,
}

fn route_chunk(host: &impl Host, model: &Model, requests: &[Request]) -> Vec<Result<Decision, RoutingError>> {
    let mut features = Features::default();
    let rows: Vec<Result<Row<'_>, RoutingError>> = requests
        .iter()
        .map(|request| {
            let validated = validate::request(model, request)?;
            let user = features.push(host, model, request, validated)?;
            Ok(Row { request, validated, user })
        })
        .collect();
    if features.rows() == 0 {
        return rows.into_iter().filter_map(Result::err).map(Err).collect();
    }
    let outputs = Outputs::run(host, model, &features);
    let mut position = 0;
    let mut decide_next = |row: Row<'_>| {
        position += 1;
        decide(model, &row, outputs.as_ref().map_err(Clone::clone)?, position - 1)
    };
    rows.into_iter().map(|row| row.and_then(&mut decide_next)).collect()
}

/// The scorer's outputs for all rows of a run, row-major.
struct Outputs {
    utility: Vec<f32>,
    effect: Vec<f32>,
    cost: Vec<f32>,
    uncertainty: Vec<f32>,
    task_probability: Vec<f32>,
}

impl Outputs {
    fn run(host: &impl Host, model: &Model, features: &Features) -> Result<Self, RoutingError> {
        let mut ngrams = Vec::new();
        let mut outputs = host.run("scorer", &features.tensors(&mut ngrams))?;
        let per_llm = features.rows() * model.llm_columns as usize;
        Ok(Self {
            utility: take_output(&mut outputs, "utility", per_llm)?,
            effect: take_output(&mut outputs, "effect", per_llm)?,
            cost: take_output(&mut outputs, "cost", per_llm)?,
            uncertainty: take_output(&mut outputs, "uncertainty", per_llm)?,
            task_probability: take_output(&mut outputs, "task_probability", features.rows() * model.tasks.len())?,
        })
    }
}

fn decide(model: &Model, row: &Row<'_>, outputs: &Outputs, position: usize) -> Result<Decision, RoutingError> {
    let columns = model.llm_columns as usize;
    let predictions = Predictions {
        utility: nth_row(&outputs.utility, position, columns),
        effect: nth_row(&outputs.effect, position, columns),
        cost: nth_row(&outputs.cost, position, columns),
        uncertainty: nth_row(&outputs.uncertainty, position, columns),
    };
    let ranking = policy::rank(row.request, &predictions)?;
    let probabilities = nth_row(&outputs.task_probability, position, model.tasks.len());
    let task = guess_task(model, row.validated, probabilities);
    let why = explain(&row.request.candidates, &ranking, &row.user, task.as_ref());
    Ok(Decision { ranking, user_state: row.user.state, task, why })
}

/// Returns the declared task, else the likeliest one; `None` when no probability is finite.
fn guess_task(model: &Model, validated: Validated, probabilities: &[f32]) -> Option<TaskGuess> {
    let likeliest = || {
        let finite = probabilities.iter().copied().enumerate().filter(|(_, probability)| probability.is_finite());
        finite.reduce(|best, next| if next.1 > best.1 { next } else { best })
    };
    let (column, probability) = validated.task.map(|column| (column, 1.0)).or_else(likeliest)?;
    Some(TaskGuess { task: model.tasks.get(column)?.clone(), probability: probability.clamp(0.0, 1.0) })
}

fn nth_row(elements: &[f32], position: usize, extent: usize) -> &[f32] {
    elements.get(position * extent..(position + 1) * extent).unwrap_or_default()
}

#[cfg(test)]
mod tests;
