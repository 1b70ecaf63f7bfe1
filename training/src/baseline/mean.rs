//! Told p: predicted effect and cost of every test query, weighted by each user's preference; in worlds, told tastes too.
//!
//! The mean per task is the strong one; ridge and nearest neighbours put their own predictions in its place.

use std::collections::HashMap;

use anyhow::Result;
use ndarray::Array2;

use crate::data::Dataset;
use crate::data::world::World;
use crate::eval::EvalSet;
use crate::eval::ground_truth::{Mean, means};
use crate::model::Router;

/// Predicted effect and cost of some queries, shared by all users; what users like is told.
#[derive(Debug, Clone)]
pub struct Predicted {
    name: &'static str,
    world: World,
    told: Told,
    rows: HashMap<u32, Row>,
    effect: Array2<f64>,
    cost: Array2<f64>,
}

/// What is told of every user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its weight on quality.
    Preference,
    /// Its tastes by task besides.
    Tastes,
    /// Its habit about length besides.
    Habits,
}

/// Where the prediction of a query stands, and its task.
#[derive(Debug, Clone, Copy)]
struct Row {
    position: usize,
    task: usize,
}

impl Predicted {
    /// Takes predictions `[queries, llms]` in the order of `queries`; every user's weight is told.
    pub fn new(
        name: &'static str,
        (dataset, world): (&Dataset, &World),
        queries: &[u32],
        [effect, cost]: [Array2<f64>; 2],
    ) -> Self {
        let task = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| query.task as usize);
        let rows = queries.iter().enumerate();
        let rows = rows.map(|(position, &query)| (query, Row { position, task: task(query) })).collect();
        Self { name, world: world.clone(), told: Told::Preference, rows, effect, cost }
    }

    /// Tells more of every user.
    #[must_use]
    pub fn told(self, name: &'static str, told: Told) -> Self {
        Self { name, told, ..self }
    }
}

impl Router for Predicted {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let person = self.world.person(user);
        let utility = |query: u32, llm: usize| {
            let row = self.rows.get(&query)?;
            let place = (row.position, llm);
            let (effect, cost) = self.effect.get(place).zip(self.cost.get(place))?;
            let weight = person.weight(row.task);
            let line = weight * effect - (1.0 - weight) * cost;
            Some(match self.told {
                Told::Preference => line,
                Told::Tastes => line + person.taste(row.task, llm),
                Told::Habits => {
                    line + person.taste(row.task, llm) + self.world.length(query) * person.length_weight(llm)
                }
            })
        };
        Ok(Array2::from_shape_fn((queries.len(), self.effect.ncols()), |(at, llm)| {
            queries.get(at).and_then(|&query| utility(query, llm)).unwrap_or(f64::NAN)
        }))
    }
}

/// Predicts the mean over training tasks of their queries' means: what a task that nobody has seen is like.
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

/// Returns effect and cost of each task's training queries by LLM, NaN where nothing is known.
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
