//! The estimate of a new LLM from its price and from ratings of its answers.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use super::floats;
use super::matrix::{Matrix2, Pair};
use super::prior::{PriceRegression, VarianceComponents};
use super::rating::NewRating;
use crate::closed_form::components::Components;
use crate::closed_form::constants::{CONFIDENCE_BOUND, MIN_RATING_NOISE};
use crate::model::tensors::extent;

#[cfg(test)]
mod tests;

/// The known LLMs, as far as they determine new ones.
#[derive(Debug)]
pub struct KnownLlms {
    /// Task of each query.
    tasks: Vec<usize>,
    /// Mean coefficients over known LLMs, by query.
    means: Vec<Pair>,
    task_count: usize,
    effect: VarianceComponents,
    cost: VarianceComponents,
    price: PriceRegression,
    noise: f64,
    /// Mean preference score.
    score: f64,
}

/// An estimate of a new LLM, by task.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLlm {
    /// Lower confidence bound of the effect coefficient, minus the mean of the known LLMs.
    pub effect: Vec<f64>,
    /// Cost coefficient, minus the mean of the known LLMs.
    pub cost: Vec<f64>,
    /// Standard deviation of the expected reward of the mean user.
    pub deviation: Vec<f64>,
    /// Rated answers.
    pub answers: Vec<Answer>,
}

/// A rated answer of the new LLM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Row of the query in the components.
    pub row: usize,
    /// Effect coefficient.
    pub effect: f64,
    /// Cost coefficient.
    pub cost: f64,
    /// Share of the variance that the ratings explain.
    pub weight: f64,
}

/// Ratings of one answer, against the known LLMs.
struct Query {
    row: usize,
    task: usize,
    /// Mean coefficients of the known LLMs.
    known: Pair,
    /// Variance of answers around their task's mean.
    within: Matrix2,
    information: Matrix2,
    pull: Pair,
}

impl KnownLlms {
    /// Reads the known LLMs; `log_price` has one entry for each.
    pub fn new(components: &Components, log_price: &[f64]) -> Result<Self> {
        let llms = extent(components.llms());
        ensure!(llms > 0 && llms == log_price.len(), "{} prices for {llms} LLMs", log_price.len());
        let task_count = extent(components.task_count());
        let coefficients = [&components.effect, &components.cost];
        let [effect, cost] = coefficients.map(|coefficient| VarianceComponents::fit(components, coefficient));
        let [effects, costs] = coefficients.map(|table| floats(&table.mean_dim(1, false, Kind::Double)));
        let tasks: Vec<i64> = Vec::try_from(&components.tasks.to_kind(Kind::Int64))?;
        let least_noise = MIN_RATING_NOISE * components.effect.std(true).double_value(&[]).max(1e-6);
        Ok(Self {
            tasks: tasks.into_iter().map(|task| extent(task).min(task_count.saturating_sub(1))).collect(),
            means: effects.into_iter().zip(costs).map(|(effect, cost)| [effect, cost]).collect(),
            task_count,
            price: PriceRegression::fit(log_price, &cost.means, cost.between),
            effect,
            cost,
            noise: components.noise.max(least_noise),
            score: components.scores.mean(Kind::Double).double_value(&[]),
        })
    }

    /// Estimates an LLM of this price from ratings of its answers; without any it is the prior.
    pub fn estimate(&self, log_price: f64, ratings: &[NewRating]) -> NewLlm {
        let prior = [0.0, self.price.at(log_price)];
        let between = Matrix2::diagonal([self.effect.between, self.price.variance]);
        let task = Matrix2::diagonal([self.effect.task, self.cost.task]).inverse();
        let queries = self.queries(ratings);
        let by_task = self.by_task(&queries);
        let (mut information, mut pull) = (between.inverse(), between.inverse().times(prior));
        for (of_task, pull_of_task) in &by_task {
            // What a task says of the LLM's mean, its own deviation being integrated out.
            let back = of_task.product(&task.plus(of_task).inverse());
            information = information.plus(&of_task.minus(&back.product(of_task)));
            pull = add(pull, subtract(*pull_of_task, back.times(*pull_of_task)));
        }
        let variance = information.inverse();
        let mean = variance.times(pull);
        let posteriors: Vec<(Pair, Matrix2)> = by_task
            .iter()
            .map(|(of_task, pull)| {
                let left = task.plus(of_task).inverse();
                let of_pair = add(mean, left.times(subtract(*pull, of_task.times(mean))));
                let kept = left.product(&task);
                (of_pair, left.plus(&kept.product(&variance).product(&kept.transposed())))
            })
            .collect();
        self.new_llm(&posteriors, &queries)
    }

    /// Returns information about the mean of each task, and its pull.
    fn by_task(&self, queries: &[Query]) -> Vec<(Matrix2, Pair)> {
        let mut by_task = vec![(Matrix2::ZERO, [0.0; 2]); self.task_count];
        for query in queries {
            if let Some((information, pull)) = by_task.get_mut(query.task) {
                let (of_query, pull_of_query) = query.about_mean();
                *information = information.plus(&of_query);
                *pull = add(*pull, pull_of_query);
            }
        }
        by_task
    }

    fn new_llm(&self, posteriors: &[(Pair, Matrix2)], queries: &[Query]) -> NewLlm {
        let prior = (self.effect.between + self.effect.task).max(1e-12);
        // The bound tightens with the share of the prior's variance that is left.
        let bound = |(mean, variance): &(Pair, Matrix2)| {
            let variance = variance.first();
            mean[0] - CONFIDENCE_BOUND * variance / prior * variance.max(0.0).sqrt()
        };
        let mean_user = [self.score, 1.0 - self.score];
        let answer = |query: &Query| {
            let mean = posteriors.get(query.task).map_or([0.0; 2], |(mean, _)| *mean);
            let [effect, cost] = add(query.known, query.answer(mean));
            Answer { row: query.row, effect, cost, weight: query.weight() }
        };
        NewLlm {
            effect: posteriors.iter().map(bound).collect(),
            cost: posteriors.iter().map(|(mean, _)| mean[1]).collect(),
            deviation: posteriors.iter().map(|(_, variance)| variance.form(mean_user).max(0.0).sqrt()).collect(),
            answers: queries.iter().map(answer).collect(),
        }
    }

    /// Groups ratings by query.
    fn queries(&self, ratings: &[NewRating]) -> Vec<Query> {
        let mut found: BTreeMap<usize, Query> = BTreeMap::new();
        for rating in ratings {
            let Some((&task, &known)) = self.tasks.get(rating.row).zip(self.means.get(rating.row)) else { continue };
            let query = found.entry(rating.row).or_insert_with(|| Query {
                row: rating.row,
                task,
                known,
                within: Matrix2::diagonal([self.effect.within(task), self.cost.within(task)]),
                information: Matrix2::ZERO,
                pull: [0.0; 2],
            });
            let user = [rating.score, 1.0 - rating.score];
            let difference = rating.reward - dot(user, known);
            let precision = (self.noise * self.noise).recip();
            query.information = query.information.plus(&Matrix2::outer(user).scaled(precision));
            query.pull = add(query.pull, user.map(|x| x * difference * precision));
        }
        found.into_values().collect()
    }
}

impl Query {
    /// Returns information about the task's mean, and its pull, the answer's own deviation being integrated out.
    fn about_mean(&self) -> (Matrix2, Pair) {
        let back = self.information.product(&self.within.inverse().plus(&self.information).inverse());
        let information = self.information.minus(&back.product(&self.information));
        (information, subtract(self.pull, back.times(self.pull)))
    }

    /// Returns the answer's coefficients minus those of the known LLMs, given the mean of its task.
    fn answer(&self, mean: Pair) -> Pair {
        let left = self.within.inverse().plus(&self.information).inverse();
        add(mean, left.times(subtract(self.pull, self.information.times(mean))))
    }

    /// Returns the share of the effect coefficient's variance that the ratings explain.
    fn weight(&self) -> f64 {
        let left = self.within.inverse().plus(&self.information).inverse().first();
        (1.0 - left / self.within.first().max(1e-12)).clamp(0.0, 1.0)
    }
}

/// Returns the components with the rated answers of new LLMs behind the others: what ratings of them say of users.
pub fn extended(components: &Components, found: &[NewLlm]) -> Components {
    let queries = components.queries.len();
    let column = |value: fn(&Answer) -> f64, of: &NewLlm| {
        let mut column = vec![0.0; queries];
        for answer in &of.answers {
            if let Some(row) = column.get_mut(answer.row) {
                *row = value(answer);
            }
        }
        Tensor::from_slice(&column).unsqueeze(1)
    };
    let with = |known: &Tensor, value: fn(&Answer) -> f64| {
        let mut parts = vec![known.shallow_clone()];
        parts.extend(found.iter().map(|of| column(value, of)));
        Tensor::cat(&parts, 1)
    };
    let means = |known: &Tensor| known.constant_pad_nd([0, found.len() as i64]);
    Components {
        queries: components.queries.clone(),
        tasks: components.tasks.shallow_clone(),
        scores: components.scores.shallow_clone(),
        effect: with(&components.effect, |answer| answer.effect),
        cost: with(&components.cost, |answer| answer.cost),
        weight: with(&components.weight, |answer| answer.weight),
        effect_means: means(&components.effect_means),
        cost_means: means(&components.cost_means),
        noise: components.noise,
        factors: components.factors.as_ref().map(|factors| factors.with_new(found.len() as i64)),
    }
}

fn add([a, b]: Pair, [c, d]: Pair) -> Pair {
    [a + c, b + d]
}

fn subtract([a, b]: Pair, [c, d]: Pair) -> Pair {
    [a - c, b - d]
}

fn dot([a, b]: Pair, [c, d]: Pair) -> f64 {
    a * c + b * d
}
