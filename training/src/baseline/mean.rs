//! Told p: predicted effect and cost of every test query, weighed by each user's preference.
//!
//! The mean per task is the strong one; ridge and nearest neighbours put their own predictions in its place.

use std::collections::HashMap;

use anyhow::Result;
use ndarray::Array2;

use crate::eval::Field;
use crate::eval::truth::{Mean, means};
use crate::model::Router;

/// Predicted effect and cost of some queries, shared by all users.
pub struct Predicted {
    name: &'static str,
    preferences: Vec<f64>,
    rows: HashMap<u32, usize>,
    effect: Array2<f64>,
    cost: Array2<f64>,
}

impl Predicted {
    /// Takes predictions `[queries, llms]` in the order of `queries`.
    pub fn new(name: &'static str, preferences: &[f64], queries: &[u32], predicted: [Array2<f64>; 2]) -> Self {
        let [effect, cost] = predicted;
        let rows = queries.iter().enumerate().map(|(row, &query)| (query, row)).collect();
        Self { name, preferences: preferences.to_vec(), rows, effect, cost }
    }
}

impl Router for Predicted {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let p = self.preferences.get(user).copied().unwrap_or(0.5);
        let row = |at: usize| queries.get(at).and_then(|query| self.rows.get(query)).copied();
        Ok(Array2::from_shape_fn((queries.len(), self.effect.ncols()), |(at, llm)| {
            let place = row(at).map(|row| (row, llm));
            let outcome = place.and_then(|place| self.effect.get(place).zip(self.cost.get(place)));
            outcome.map_or(f64::NAN, |(effect, cost)| p * effect - (1.0 - p) * cost)
        }))
    }
}

/// Predicts the mean over training tasks of their queries' means: what a task that nobody has seen is like.
pub fn over_tasks(field: &Field<'_>, preferences: &[f64]) -> Predicted {
    let tasks = by_task(field);
    let predicted = [0_usize, 1].map(|part| {
        Array2::from_shape_fn((field.split.test.len(), field.dataset.llms.len()), |(_, llm)| {
            let mut mean = Mean::default();
            tasks.iter().filter_map(|parts| parts.get(part)?.get(llm)).for_each(|&own| mean.add(own));
            mean.value()
        })
    });
    Predicted::new("told_p_mean_over_tasks", preferences, &field.split.test, predicted)
}

/// Predicts the mean of the training queries of the same task.
pub fn task_means(field: &Field<'_>, preferences: &[f64]) -> Predicted {
    let dataset = field.dataset;
    let task_of = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task);
    let overall = [&dataset.effect, &dataset.cost].map(|array| means(array, &field.split.train));
    let tasks = by_task(field);
    let predicted = [0_usize, 1].map(|part| {
        Array2::from_shape_fn((field.split.test.len(), dataset.llms.len()), |(row, llm)| {
            let task = field.split.test.get(row).map_or(0, |&query| task_of(query) as usize);
            let value = |parts: &[Vec<f64>; 2]| parts.get(part).and_then(|means| means.get(llm)).copied();
            let own = tasks.get(task).and_then(value).filter(|mean| !mean.is_nan());
            own.or_else(|| value(&overall)).unwrap_or(f64::NAN)
        })
    });
    Predicted::new("told_p_task_means", preferences, &field.split.test, predicted)
}

/// Returns effect and cost of each task's training queries by LLM, NaN where nothing is known.
fn by_task(field: &Field<'_>) -> Vec<[Vec<f64>; 2]> {
    let dataset = field.dataset;
    let task_of = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task);
    let of = |task: usize| {
        let train = field.split.train.iter().copied();
        let rows: Vec<u32> = train.filter(|&query| task_of(query) as usize == task).collect();
        [&dataset.effect, &dataset.cost].map(|array| means(array, &rows))
    };
    (0..dataset.tasks.len()).map(of).collect()
}
