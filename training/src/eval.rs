//! Measures routers as the evaluation protocol says: truth, routers, metrics, choices.

pub mod bundle;
pub mod choice;
pub mod coverage;
pub mod held_out;
pub mod metric;
pub mod model_router;
pub mod new_llm;
pub mod total;
pub mod ground_truth;
pub mod unseen_task;

use anyhow::Result;
use ndarray::Array2;

use crate::data::{Dataset, Interactions, Split, simulate};
use crate::model::Router;

use choice::Choices;
use ground_truth::{GroundTruth, Mean};
use metric::{MetricSums, Metrics};

/// What routers are measured on.
#[derive(Debug, Clone)]
pub struct EvalSet<'a> {
    /// Outcomes.
    pub dataset: &'a Dataset,
    /// Rewards of the users.
    pub truth: &'a GroundTruth<'a>,
    /// Train, validation and test queries.
    pub split: &'a Split,
    /// What users have seen of the training queries.
    pub seen: &'a Interactions,
    /// Seed of the split.
    pub seed: u64,
    /// Each user's best single LLM on the training split: the zero of the gap.
    pub best_singles: Vec<usize>,
    /// The users whose choices count, ascending.
    pub users: Vec<usize>,
}

impl<'a> EvalSet<'a> {
    /// Looks up each user's best single LLM.
    pub fn new(
        dataset: &'a Dataset,
        truth: &'a GroundTruth<'a>,
        split: &'a Split,
        seen: &'a Interactions,
        seed: u64,
    ) -> Self {
        let (best_singles, users) = (truth.best_singles(&split.train, seen), (0..truth.users()).collect());
        Self { dataset, truth, split, seen, seed, best_singles, users }
    }

    /// Returns the same set with the choices of at most `count` users, drawn by the population's hash.
    pub fn at_most(self, count: usize) -> Self {
        let all = u32::try_from(self.truth.users()).unwrap_or(u32::MAX);
        let drawn = simulate::held_out(all, count).into_iter().map(|user| user as usize);
        Self { users: drawn.collect(), ..self }
    }
}

/// What a router did on a set.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Its numbers.
    pub metrics: Metrics,
    /// Its choices for every user that counts and every test query.
    pub choices: Choices,
}

/// Measures one router: for every user that counts, every test query whose rewards are known.
pub fn measure(set: &EvalSet<'_>, router: &dyn Router) -> Result<Outcome> {
    let queries = &set.split.test;
    let mut sums = MetricSums::new(queries.len(), set.dataset.llms.len());
    let mut choices = Choices::new(queries.clone());
    for &user in &set.users {
        let rewards = set.truth.rewards(user, queries);
        let utilities = router.utilities(user, queries)?;
        let chosen = choice::best(&utilities, &rewards);
        let single = set.best_singles.get(user).copied().unwrap_or(0);
        sums.add(&rewards, &chosen, single);
        let [effect, cost] = [&set.dataset.effect, &set.dataset.cost].map(|array| mean_of(array, queries, &chosen));
        sums.add_outcome(effect, cost);
        choices.push(chosen);
    }
    Ok(Outcome { name: router.name().to_owned(), metrics: sums.metrics(), choices })
}

/// Returns the mean outcome of the chosen LLMs, NaN when none is known.
fn mean_of(array: &Array2<f32>, queries: &[u32], chosen: &[u16]) -> f64 {
    let mut mean = Mean::default();
    for (&query, &llm) in queries.iter().zip(chosen) {
        mean.add(array.get((query as usize, usize::from(llm))).map_or(f64::NAN, |&value| f64::from(value)));
    }
    mean.value()
}
