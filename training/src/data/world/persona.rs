//! The users of `persona`: weights by task, a preference for short or long answers, and star ratings on a scale of their own.

use crate::data::Dataset;
use crate::data::hash::{Domain, normal};

use super::{Resident, World, preference};

/// Keeps the logit of a weight of 0 or 1 finite.
const MARGIN: f64 = 1e-3;
/// Standard deviation of a weight's logit over tasks.
const TASK_SPREAD: f64 = 1.5;
/// Standard deviation of habits.
const HABIT_SPREAD: f64 = 0.15;
/// Standard deviations of the logarithm of a user's scale of stars, and of its leniency.
const STAR_SPREADS: [f64; 2] = [0.3, 0.5];
/// Stars above the worst that an average answer gets, and that one standard deviation is worth.
const STARS: [f64; 2] = [2.0, 1.5];
/// Stars above the worst that the best answer gets.
const MOST: f64 = 4.0;
/// The users and queries whose utilities say what an average answer is: every 50th of 1,000 users, every 17th query.
const SAMPLE: (u64, usize, usize) = (1000, 50, 17);

/// What all users of the world have in common.
#[derive(Debug, Clone)]
pub(super) struct Persona {
    tasks: u64,
    /// Of each LLM, standardised.
    verbosity: Vec<f64>,
    /// Of each query: 1 where it is shorter than the median of its task, else −1.
    short: Vec<f64>,
    /// Mean and standard deviation of utilities.
    average: (f64, f64),
}

impl Persona {
    /// Reads lengths and draws verbosity; stars need [`Persona::calibrated`] besides.
    pub(super) fn new(dataset: &Dataset, key: u64) -> Self {
        let drawn: Vec<f64> =
            (0..dataset.llms.len() as u64).map(|llm| normal(key, Domain::Verbosity, llm, 0)).collect();
        let (mean, deviation) = moments(&drawn);
        let verbosity = drawn.into_iter().map(|value| (value - mean) / deviation).collect();
        Self { tasks: dataset.tasks.len() as u64, verbosity, short: short(dataset), average: (0.0, 1.0) }
    }

    /// Measures mean and standard deviation of utilities, which stars are relative to.
    pub(super) fn calibrated(self, world: &World, dataset: &Dataset) -> Self {
        let (users, each_user, each_query) = SAMPLE;
        let rows: Vec<u32> = (0_u32..).zip(&dataset.queries).map(|(row, _)| row).step_by(each_query).collect();
        let mut sample = Vec::new();
        let sampled = World { persona: Some(self.clone()), ..world.clone() };
        for number in (0..users).step_by(each_user) {
            let user = Resident { number, preference: preference(world.key, number) };
            let utilities = sampled.resident(user).utilities(dataset, &rows);
            sample.extend(utilities.into_iter().filter(|utility| !utility.is_nan()));
        }
        Self { average: moments(&sample), ..self }
    }

    /// Returns the weight on quality of a user by task.
    pub(super) fn weights(&self, key: u64, user: u64, preference: f64) -> Vec<f64> {
        let logit = ((preference + MARGIN) / (1.0 - preference + MARGIN)).ln();
        let weight = |task| logistic(logit + TASK_SPREAD * normal(key, Domain::TaskWeight, user, task));
        (0..self.tasks).map(weight).collect()
    }

    /// Returns 1 for a short query and −1 for a long one.
    pub(super) fn length(&self, query: u32) -> f64 {
        self.short.get(query as usize).copied().unwrap_or(0.0)
    }

    /// Returns what a short query adds to the utility of each LLM for a user: verbose LLMs lose.
    pub(super) fn lengths(&self, key: u64, user: u64) -> Vec<f64> {
        let habit = HABIT_SPREAD * normal(key, Domain::Habit, user, 0);
        self.verbosity.iter().map(|verbosity| -habit * verbosity).collect()
    }

    /// Returns one to five stars as 0, ¼ … 1.
    pub(super) fn stars(&self, key: u64, user: u64, utility: f64) -> f64 {
        let (mean, deviation) = self.average;
        let [scale, leniency] = [Domain::StarScale, Domain::Leniency].map(|domain| normal(key, domain, user, 0));
        let relative = (STAR_SPREADS[0] * scale).exp() * (utility - mean) / deviation + STAR_SPREADS[1] * leniency;
        (STARS[0] + STARS[1] * relative).round_ties_even().clamp(0.0, MOST) / MOST
    }
}

fn short(dataset: &Dataset) -> Vec<f64> {
    let lengths: Vec<f64> = dataset.queries.iter().map(|query| query.text.chars().count() as f64).collect();
    let mut by_task = vec![Vec::new(); dataset.tasks.len()];
    for (query, &length) in dataset.queries.iter().zip(&lengths) {
        if let Some(own) = by_task.get_mut(query.task as usize) {
            own.push(length);
        }
    }
    let medians: Vec<f64> = by_task.into_iter().map(median).collect();
    let is_short = |task: u32, length: f64| medians.get(task as usize).is_some_and(|&median| length < median);
    let sign = |(query, &length): (&crate::data::Query, &f64)| if is_short(query.task, length) { 1.0 } else { -1.0 };
    dataset.queries.iter().zip(&lengths).map(sign).collect()
}

/// Returns the middle value, the mean of the two middle ones, or 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    match values.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => f64::midpoint(at(count / 2 - 1), at(count / 2)),
        count => at(count / 2),
    }
}

/// Returns mean and population standard deviation, the latter 1 where all values are the same.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
