//! Random choice for every user and query.

use anyhow::Result;
use ndarray::Array2;

use crate::data::Dataset;
use crate::data::hash::{Domain, h};
use crate::eval::EvalSet;
use crate::model::Router;

/// Chooses by hash, so that the choice is the same on every run.
pub struct Random<'a> {
    dataset: &'a Dataset,
    seed: u64,
}

impl<'a> Random<'a> {
    /// Needs no training.
    pub fn new(set: &EvalSet<'a>) -> Self {
        Self { dataset: set.dataset, seed: set.seed }
    }
}

impl Router for Random<'_> {
    fn name(&self) -> &str {
        "random"
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let llms = self.dataset.llms.len();
        let mut utilities = Array2::zeros((queries.len(), llms));
        for (mut row, &query) in utilities.rows_mut().into_iter().zip(queries) {
            let id = self.dataset.queries.get(query as usize).map_or(0, |query| query.id);
            let chosen = h(self.seed, Domain::Random, user as u64, id) % llms.max(1) as u64;
            if let Some(utility) = usize::try_from(chosen).ok().and_then(|chosen| row.get_mut(chosen)) {
                *utility = 1.0;
            }
        }
        Ok(utilities)
    }
}
