//! One LLM for everything: the cheapest, the best for all, the best for each user.

use anyhow::Result;
use ndarray::Array2;

use crate::data::LlmInfo;
use crate::eval::EvalSet;
use crate::eval::ground_truth::means;
use crate::model::Router;

/// The same LLM for everybody.
pub struct Constant {
    name: &'static str,
    utilities: Vec<f64>,
}

/// Each user's best LLM over all training queries: the zero of the gap.
pub struct BestPerUser {
    name: &'static str,
    llms: usize,
    best: Vec<usize>,
}

impl Constant {
    /// The LLM of the lowest mean cost on the training queries; by list price where costs are not known.
    pub fn cheapest(set: &EvalSet<'_>) -> Self {
        let costs = means(&set.dataset.cost, &set.split.train);
        let price = |llm: &LlmInfo| -f64::from(llm.input_price + llm.output_price);
        let known = costs.iter().all(|cost| !cost.is_nan()) && set.truth.world().is_some();
        let utilities = match known {
            true => costs.iter().map(|cost| -cost).collect(),
            false => set.dataset.llms.iter().map(price).collect(),
        };
        Self { name: "cheapest", utilities }
    }

    /// The LLM of the highest mean reward over all users.
    pub fn best_overall(set: &EvalSet<'_>) -> Self {
        let utilities = set.truth.population_means(&set.split.train, set.seen);
        Self { name: "best_single_overall", utilities }
    }
}

impl Router for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, _user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        Ok(Array2::from_shape_fn((queries.len(), self.utilities.len()), |(_, llm)| {
            self.utilities.get(llm).copied().unwrap_or(f64::NAN)
        }))
    }
}

impl BestPerUser {
    /// Takes what the set has looked up.
    pub fn new(set: &EvalSet<'_>) -> Self {
        let name = "best_single_per_user";
        Self { name, llms: set.dataset.llms.len(), best: set.best_singles.clone() }
    }

    /// Takes each user's best LLM over the test queries: the most that one LLM could have earned there.
    pub fn in_hindsight(set: &EvalSet<'_>) -> Self {
        let best = set.truth.best_singles(&set.split.test, set.seen);
        Self { name: "best_single_in_hindsight", llms: set.dataset.llms.len(), best }
    }
}

impl Router for BestPerUser {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let best = self.best.get(user).copied().unwrap_or(0);
        Ok(Array2::from_shape_fn((queries.len(), self.llms), |(_, llm)| f64::from(u8::from(llm == best))))
    }
}
