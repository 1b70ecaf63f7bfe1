//! Baselines that know each user: predicted effect and cost of every test query, weighted by the user's true preference.
//!
//! In simulated worlds they may also know the user's tastes and habits. The prediction is the mean of the query's task here;
//! ridge regression and nearest neighbours replace it by their own.

use std::collections::HashMap;

use anyhow::Result;
use ndarray::Array2;

use crate::data::Dataset;
use crate::data::world::World;
use crate::eval::EvalSet;
use crate::eval::ground_truth::{Mean, means};
use crate::model::Router;

/// Predicted effect and cost of queries, the same for all users, and what is known of each user.
#[derive(Debug, Clone)]
pub struct Predicted {
    name: &'static str,
    world: World,
    known: Known,
    positions: HashMap<u32, Position>,
    effect: Array2<f64>,
    cost: Array2<f64>,
}

/// What a baseline knows of every user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The weight on quality.
    Preference,
    /// Also the tastes by task.
    Tastes,
    /// Also the tastes, and the habit about length.
    Habits,
}

/// The row of a query's prediction, and the query's task.
#[derive(Debug, Clone, Copy)]
struct Position {
    row: usize,
    task: usize,
}

impl Predicted {
    /// Returns a baseline with predictions `[queries, llms]` in the order of `queries`, which knows each user's preference.
    pub fn new(
        name: &'static str,
        (dataset, world): (&Dataset, &World),
        queries: &[u32],
        [effect, cost]: [Array2<f64>; 2],
    ) -> Self {
        let task = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task as usize);
        let rows = queries.iter().enumerate();
        let positions = rows.map(|(row, &query)| (query, Position { row, task: task(query) })).collect();
        Self { name, world: world.clone(), known: Known::Preference, positions, effect, cost }
    }

    /// Returns the baseline with more knowledge of each user, and its name.
    #[must_use]
    pub fn with_known(self, name: &'static str, known: Known) -> Self {
        Self { name, known, ..self }
    }
}

impl Router for Predicted {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let person = self.world.person(user);
        let utility = |query: u32, llm: usize| {
            let position = self.positions.get(&query)?;
            let at = (position.row, llm);
            let (effect, cost) = self.effect.get(at).zip(self.cost.get(at))?;
            let weight = person.weight(position.task);
            let line = weight * effect - (1.0 - weight) * cost;
            Some(match self.known {
                Known::Preference => line,
                Known::Tastes => line + person.taste(position.task, llm),
                Known::Habits => {
                    line + person.taste(position.task, llm) + self.world.length(query) * person.length_weight(llm)
                }
            })
        };
        Ok(Array2::from_shape_fn((queries.len(), self.effect.ncols()), |(at, llm)| {
            queries.get(at).and_then(|&query| utility(query, llm)).unwrap_or(f64::NAN)
        }))
    }
}

/// Predicts the mean over the training tasks of their queries' means, for tasks that were not in training.
pub fn over_tasks(set: &EvalSet<'_>, world: &World) -> Predicted {
    let tasks = by_task(set);
    let predicted = [0_usize, 1].map(|part| {
        Array2::from_shape_fn((set.split.test.len(), set.dataset.llms.len()), |(_, llm)| {
            let mut mean = Mean::default();
            tasks.iter().filter_map(|parts| parts.get(part)?.get(llm)).for_each(|&own| mean.add(own));
            mean.value()
        })
    });
    Predicted::new("told_p_mean_over_tasks", (set.dataset, world), &set.split.test, predicted)
}

/// Predicts the mean of the training queries of the same task.
pub fn task_means(set: &EvalSet<'_>, world: &World) -> Predicted {
    let dataset = set.dataset;
    let task_of = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task);
    let overall = [&dataset.effect, &dataset.cost].map(|array| means(array, &set.split.train));
    let tasks = by_task(set);
    let predicted = [0_usize, 1].map(|part| {
        Array2::from_shape_fn((set.split.test.len(), dataset.llms.len()), |(row, llm)| {
            let task = set.split.test.get(row).map_or(0, |&query| task_of(query) as usize);
            let value = |parts: &[Vec<f64>; 2]| parts.get(part).and_then(|means| means.get(llm)).copied();
            let own = tasks.get(task).and_then(value).filter(|mean| !mean.is_nan());
            own.or_else(|| value(&overall)).unwrap_or(f64::NAN)
        })
    });
    Predicted::new("told_p_task_means", (dataset, world), &set.split.test, predicted)
}

/// Returns the mean effect and cost of each task's training queries by LLM, NaN if unknown.
fn by_task(set: &EvalSet<'_>) -> Vec<[Vec<f64>; 2]> {
    let dataset = set.dataset;
    let task_of = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task);
    let of = |task: usize| {
        let train = set.split.train.iter().copied();
        let rows: Vec<u32> = train.filter(|&query| task_of(query) as usize == task).collect();
        [&dataset.effect, &dataset.cost].map(|array| means(array, &rows))
    };
    (0..dataset.tasks.len()).map(of).collect()
}
