//! The weighted mean outcome of the 80 nearest training queries, by cosine of the embeddings; users' preferences are known.

use ndarray::{Array1, Array2, Axis};

use crate::data::Dataset;
use crate::data::world::World;
use crate::eval::EvalSet;

use super::mean::Predicted;
use super::ridge::outcomes;

/// The protocol's number of neighbours.
const NEIGHBOURS: usize = 80;
/// The protocol's temperature of their weights.
const TEMPERATURE: f32 = 0.1;

/// Predicts effect and cost of the test queries from their neighbours.
pub fn neighbours(set: &EvalSet<'_>, world: &World) -> Predicted {
    let dataset = set.dataset;
    let y = outcomes(dataset, &set.split.train);
    let similar = rows(dataset, &set.split.test).dot(&rows(dataset, &set.split.train).t());
    let llms = dataset.llms.len();
    let mut predicted = [Array2::zeros((similar.nrows(), llms)), Array2::zeros((similar.nrows(), llms))];
    for (test, similar) in similar.rows().into_iter().enumerate() {
        let mut nearest: Vec<(f32, usize)> = similar.iter().copied().zip(0..).collect();
        let count = NEIGHBOURS.min(nearest.len());
        if count < nearest.len() {
            nearest.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0));
        }
        nearest.truncate(count);
        let total: f64 = nearest.iter().map(|(similar, _)| weight(*similar)).sum();
        let mut mean = Array1::<f64>::zeros(2 * llms);
        for (similar, train) in nearest {
            mean.scaled_add(weight(similar) / total, &y.index_axis(Axis(0), train));
        }
        for (column, value) in mean.into_iter().enumerate() {
            let part = predicted.get_mut(column / llms);
            if let Some(place) = part.and_then(|part| part.get_mut((test, column % llms))) {
                *place = value;
            }
        }
    }
    Predicted::new("told_p_knn80", (dataset, world), &set.split.test, predicted)
}

fn weight(similarity: f32) -> f64 {
    f64::from((similarity / TEMPERATURE).exp())
}

fn rows(dataset: &Dataset, rows: &[u32]) -> Array2<f32> {
    let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
    dataset.query_embeddings.select(Axis(0), &rows)
}
