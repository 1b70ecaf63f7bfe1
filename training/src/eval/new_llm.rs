//! LLMs that training has never seen, then seen on a few queries.

use anyhow::Result;
use ndarray::Array2;

use crate::data::simulate::lowest;
use crate::data::split::{Domain, h};
use crate::data::{Dataset, Interactions};

use super::Router;

/// How many LLMs a draw takes away.
const NEW: usize = 3;
/// Draws of the protocol.
pub const DRAWS: u64 = 5;
/// Observed queries that are measured.
pub const OBSERVED: [usize; 4] = [10, 20, 50, 200];
/// The protocol's seed of draws.
const SEED: u64 = 7;

/// Some LLMs, and the training queries they are observed on.
#[derive(Debug, Clone)]
pub struct NewLlms {
    /// One flag an LLM.
    new: Vec<bool>,
    /// One flag a query.
    observed: Vec<bool>,
}

impl NewLlms {
    /// Draw `draw`, observed on the first `count` of the training queries in the order of the hash.
    pub fn new(dataset: &Dataset, train: &[u32], seed: u64, draw: u64, count: usize) -> Self {
        let llms = dataset.llms.len();
        let mut hashed: Vec<(u64, usize)> =
            (0..llms).map(|llm| (h(SEED, Domain::NewLlm, llm as u64, draw), llm)).collect();
        hashed.sort_unstable();
        let mut new = vec![false; llms];
        for (_, llm) in hashed.into_iter().take(NEW.min(llms.saturating_sub(1))) {
            if let Some(flag) = new.get_mut(llm) {
                *flag = true;
            }
        }
        let mut observed = vec![false; dataset.queries.len()];
        for row in lowest(dataset, train, count, |id| h(seed, Domain::Observed, id, draw)) {
            if let Some(flag) = observed.get_mut(row as usize) {
                *flag = true;
            }
        }
        Self { new, observed }
    }

    /// Returns whether training may see what `llm` answered to `query`.
    pub fn shows(&self, query: u32, llm: u16) -> bool {
        let is_new = self.new.get(usize::from(llm)).copied().unwrap_or(false);
        !is_new || self.observed.get(query as usize).copied().unwrap_or(false)
    }

    /// Returns the interactions that training may see, for the same users.
    pub fn interactions(&self, all: &Interactions) -> Interactions {
        let mut shown = Interactions { users: all.users.clone(), offsets: vec![0], entries: Vec::new() };
        for user in 0..all.users.len() {
            shown.entries.extend(all.of(user).iter().filter(|entry| self.shows(entry.query, entry.llm)));
            shown.offsets.push(shown.entries.len());
        }
        shown
    }

    /// Returns the data set without the outcomes that training may not see.
    pub fn dataset(&self, dataset: &Dataset) -> Dataset {
        let mut shown = dataset.clone();
        for array in [&mut shown.effect, &mut shown.cost] {
            for ((query, llm), value) in array.indexed_iter_mut() {
                let place = u32::try_from(query).ok().zip(u16::try_from(llm).ok());
                if !place.is_some_and(|(query, llm)| self.shows(query, llm)) {
                    *value = f32::NAN;
                }
            }
        }
        shown
    }
}

/// A router that never uses the new LLMs: the zero of their gain.
pub struct Without<'a> {
    /// The router.
    pub router: &'a dyn Router,
    /// What it must not use.
    pub new: &'a NewLlms,
}

impl Router for Without<'_> {
    fn name(&self) -> &str {
        "new_llms_never_used"
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let mut utilities = self.router.utilities(user, queries)?;
        for (mut column, _) in utilities.columns_mut().into_iter().zip(&self.new.new).filter(|(_, new)| **new) {
            column.fill(f64::NAN);
        }
        Ok(utilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::outcome::tests::shared;
    use crate::data::outcome::{self, Cost};
    use crate::data::simulate::{Draw, Feedback, Users, population};
    use crate::data::split::{Ratio, split};

    #[test]
    fn three_llms_are_seen_on_the_observed_queries_only() {
        let Some(folder) = shared("zeroeval") else { return };
        let data = outcome::read(&folder, Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 0);
        let new = NewLlms::new(&data, &split.train, 0, 2, 50);
        assert_eq!(new.new.iter().filter(|flag| **flag).count(), 3);
        let known = new.dataset(&data).effect.iter().filter(|value| !value.is_nan()).count();
        assert_eq!(known, 2840 * 7 + 50 * 3);
        let draw = Draw { seed: 0, seen: None, feedback: Feedback::Full };
        let all = population(&data, &split, &Users::Nine.infos(), draw);
        assert_eq!(new.interactions(&all).entries.len(), 9 * (1987 * 7 + 50 * 3));
        let none = NewLlms::new(&data, &split.train, 0, 2, 0);
        assert_eq!(none.interactions(&all).entries.len(), 9 * 1987 * 7);
    }
}
