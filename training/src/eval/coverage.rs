//! Coverage: how often the interval that a model gives around an expected reward holds the truth.
//!
//! The expected reward of a user, a task and an LLM is the mean of the hidden utilities over the test queries of the task. The
//! interval is the mean of the model's utilities with 1.645 of its mean uncertainties on both sides: 90 % of a normal distribution.

use std::collections::HashMap;

use anyhow::Result;
use serde::Serialize;
use tch::{Kind, Tensor};

use super::EvalSet;
use crate::data::world::World;
use crate::graph::query::QueryInputs;
use crate::model::Model;
use crate::model::score::ScorerInputs;
use crate::model::tensors::{extent, to_rows};

/// Standard deviations on each side of a 90 % interval.
const SIDE: f64 = 1.645;
/// Most users of a measurement.
const USERS: usize = 50;

/// Intervals of users who were read alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// What the users had said.
    pub name: String,
    /// Share of intervals that hold the truth.
    pub covered: f64,
    /// Mean uncertainty, in rewards.
    pub uncertainty: f64,
    /// Root mean square of the distances from the truth.
    pub error: f64,
}

/// Measures the first users of a world, embedded as `[users, user_dim]`.
pub fn measure(
    model: &dyn Model,
    set: &EvalSet<'_>,
    (world, embeddings): (&World, &Tensor),
    name: String,
) -> Result<Coverage> {
    let _guard = tch::no_grad_guard();
    let queries = &set.split.test;
    let inputs = QueryInputs::build(&model.facts().hparams.text, set.dataset, queries);
    let places: Vec<usize> = (0..queries.len()).collect();
    let task = |query: &u32| set.dataset.queries.get(*query as usize).map_or(0, |query| i64::from(query.task));
    let tasks: Vec<i64> = queries.iter().map(task).collect();
    let one_hot = Tensor::from_slice(&tasks).one_hot(set.dataset.tasks.len() as i64).to_kind(Kind::Float);
    let users = extent(embeddings.size().first().copied().unwrap_or(0)).min(world.len()).min(USERS);
    let (mut held, mut count, mut uncertain, mut square) = (0.0, 0.0, 0.0, 0.0);
    for user in 0..users {
        let rows = queries.len() as i64;
        let [utility, _, _, uncertainty, _] = model.scorer(&ScorerInputs {
            user: embeddings.narrow(0, user as i64, 1).repeat([rows, 1]),
            preference: Tensor::full([rows, 1], -1.0, (Kind::Float, tch::Device::Cpu)),
            task: one_hot.shallow_clone(),
            query: inputs.batch(&places),
        });
        let truth = world.person(user).utilities(set.dataset, queries);
        let mut cells: HashMap<(i64, usize), [f64; 4]> = HashMap::new();
        for (((row, task), expected), deviation) in
            truth.rows().into_iter().zip(&tasks).zip(to_rows(&utility)).zip(to_rows(&uncertainty))
        {
            for (llm, ((&truth, expected), deviation)) in row.iter().zip(expected).zip(deviation).enumerate() {
                if !truth.is_nan() {
                    let cell = cells.entry((*task, llm)).or_default();
                    let added = [truth, f64::from(expected), f64::from(deviation), 1.0];
                    cell.iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
                }
            }
        }
        for [truth, expected, deviation, queries] in cells.into_values() {
            let (away, deviation) = ((truth - expected) / queries, deviation / queries);
            held += f64::from(u8::from(away.abs() <= SIDE * deviation));
            uncertain += deviation;
            square += away * away;
            count += 1.0;
        }
    }
    Ok(Coverage { name, covered: held / count, uncertainty: uncertain / count, error: (square / count).sqrt() })
}
