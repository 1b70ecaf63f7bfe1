//! Ridge regression of effect and cost on the query's embedding and its task; users' preferences are known.

use ndarray::{Array2, Axis, s};

use crate::data::Dataset;
use crate::data::world::World;
use crate::eval::EvalSet;
use crate::eval::ground_truth::means;

use super::linear::solve;
use super::mean::Predicted;

/// The protocol's penalty.
const PENALTY: f64 = 10.0;
/// The protocol's weight of the task indicator against the unit-length embedding.
const TASK: f64 = 0.5;

/// Predicts effect and cost of the test queries; unobserved outcomes are filled with their LLM's mean.
pub fn ridge(set: &EvalSet<'_>, world: &World) -> Predicted {
    let dataset = set.dataset;
    let x = features(dataset, &set.split.train);
    let y = outcomes(dataset, &set.split.train);
    let mut gram = x.t().dot(&x);
    gram.diag_mut().mapv_inplace(|value| value + PENALTY);
    let weights = solve(&gram, &x.t().dot(&y)).unwrap_or_else(|| Array2::zeros((x.ncols(), y.ncols())));
    let predicted = features(dataset, &set.split.test).dot(&weights);
    let llms = dataset.llms.len();
    let parts = [predicted.slice(s![.., ..llms]).to_owned(), predicted.slice(s![.., llms..]).to_owned()];
    Predicted::new("told_p_ridge_query_task", (dataset, world), &set.split.test, parts)
}

/// Embedding, task indicator, one.
pub(super) fn features(dataset: &Dataset, rows: &[u32]) -> Array2<f64> {
    let dim = dataset.query_embeddings.ncols();
    let tasks = dataset.tasks.len();
    let mut x = Array2::zeros((rows.len(), dim + tasks + 1));
    for (mut target, &row) in x.rows_mut().into_iter().zip(rows) {
        let source = dataset.query_embeddings.index_axis(Axis(0), row as usize);
        target.iter_mut().zip(source).for_each(|(target, &value)| *target = f64::from(value));
        let task = dataset.queries.get(row as usize).map_or(0, |query| query.task as usize);
        if let Some(indicator) = target.get_mut(dim + task) {
            *indicator = TASK;
        }
        if let Some(one) = target.get_mut(dim + tasks) {
            *one = 1.0;
        }
    }
    x
}

/// Effects, then costs.
pub(super) fn outcomes(dataset: &Dataset, rows: &[u32]) -> Array2<f64> {
    let llms = dataset.llms.len();
    let parts = [&dataset.effect, &dataset.cost];
    let means = parts.map(|array| means(array, rows));
    Array2::from_shape_fn((rows.len(), 2 * llms), |(at, column)| {
        let (part, llm) = (column / llms, column % llms);
        let row = rows.get(at).map_or(0, |&row| row as usize);
        let value = parts.get(part).and_then(|array| array.get((row, llm))).filter(|value| !value.is_nan());
        let mean = means.get(part).and_then(|means| means.get(llm)).copied().filter(|mean| !mean.is_nan());
        value.map_or(mean.unwrap_or(0.0), |&value| f64::from(value))
    })
}
