//! LLMs that training has never seen, then seen on a few queries.

use std::path::Path;

use anyhow::{Context, Result};
use ndarray::{Array2, Axis};

use crate::data::hash::{Domain, h};
use crate::data::split::lowest;
use crate::data::{Dataset, Interaction, Interactions, LlmInfo};
use crate::model::Router;
use crate::model::columns::{LlmColumn, LlmColumns};
use crate::model::facts;
use crate::train::Trained;

/// How many LLMs a draw takes away.
const NEW: usize = 3;
/// Draws of the protocol.
pub const DRAWS: u64 = 5;
/// Observed queries that are measured.
pub const OBSERVED: [usize; 5] = [0, 10, 20, 50, 200];
/// The protocol's seed of draws.
const SEED: u64 = 7;

/// Some LLMs, and the training queries in the order in which they are observed.
#[derive(Debug, Clone)]
pub struct NewLlms {
    /// One flag an LLM.
    new: Vec<bool>,
    /// Training queries, the first observed first.
    order: Vec<u32>,
}

impl NewLlms {
    /// Draw `draw`: observed on the training queries in the order of the hash.
    pub fn new(dataset: &Dataset, train: &[u32], seed: u64, draw: u64) -> Self {
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
        let order = lowest(dataset, train, train.len(), |id| h(seed, Domain::Observed, id, draw));
        Self { new, order }
    }

    /// Returns the data set without the new LLMs.
    pub fn known(&self, dataset: &Dataset) -> Dataset {
        let kept: Vec<usize> = self.columns(false);
        Dataset {
            llms: kept.iter().filter_map(|&llm| dataset.llms.get(llm)).cloned().collect(),
            llm_embeddings: match dataset.llm_embeddings.nrows() == self.new.len() {
                true => dataset.llm_embeddings.select(Axis(0), &kept),
                false => dataset.llm_embeddings.clone(),
            },
            effect: dataset.effect.select(Axis(1), &kept),
            cost: dataset.cost.select(Axis(1), &kept),
            ..dataset.clone()
        }
    }

    /// Returns the interactions with the known LLMs, for the same users.
    pub fn interactions(&self, all: &Interactions) -> Interactions {
        let mut place = Vec::new();
        let mut next = 0_u16;
        for &new in &self.new {
            place.push((!new).then_some(next));
            next += u16::from(!new);
        }
        let mut shown = Interactions { users: all.users.clone(), offsets: vec![0], entries: Vec::new() };
        for user in 0..all.users.len() {
            let known = |entry: &Interaction| {
                // Votes compare two LLMs, so they have no place among fewer.
                let llm = place.get(usize::from(entry.llm)).copied().flatten().filter(|_| !entry.kind.is_vote())?;
                Some(Interaction { llm, ..*entry })
            };
            shown.entries.extend(all.of(user).iter().filter_map(known));
            shown.offsets.push(shown.entries.len());
        }
        shown
    }

    /// Returns the model of all LLMs, in the order of `dataset`: the new ones enter from their price and from what users
    /// rated of their answers to the first `count` queries; `known` was trained on the others, in the folder `run`.
    pub fn insert(
        &self,
        (known, run): (&Trained, &Path),
        dataset: &Dataset,
        seen: &Interactions,
        count: usize,
    ) -> Result<Trained> {
        let mut observed = vec![false; dataset.queries.len()];
        for &query in self.order.iter().take(count) {
            if let Some(flag) = observed.get_mut(query as usize) {
                *flag = true;
            }
        }
        let ratings = seen.restricted(&observed);
        let mut trained = 0..;
        let column = |(llm, &new): (&LlmInfo, &bool)| match new {
            true => LlmColumn::New(facts::llm(llm)),
            false => LlmColumn::Trained(trained.next().unwrap_or(0)),
        };
        let columns: Vec<LlmColumn> = dataset.llms.iter().zip(&self.new).map(column).collect();
        known.with_llms(LlmColumns { run, columns: &columns, ratings: &ratings }).context("new LLMs")
    }

    fn columns(&self, new: bool) -> Vec<usize> {
        self.new.iter().enumerate().filter(|(_, flag)| **flag == new).map(|(llm, _)| llm).collect()
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
    use crate::data::outcome::tests::committed;
    use crate::data::outcome::{self, Cost};
    use crate::data::simulate::{Draw, Users, population};
    use crate::data::split::{Ratio, split};
    use crate::data::world::{Feedback, KEY, WorldKind};

    #[test]
    fn three_llms_are_taken_away_and_the_others_keep_their_order() {
        let data = outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 0);
        let new = NewLlms::new(&data, &split.train, 0, 2);
        assert_eq!(new.columns(true).len(), 3);
        let known = new.known(&data);
        let ids: Vec<&str> = new.columns(false).iter().map(|&llm| data.llms[llm].id.as_str()).collect();
        assert_eq!(known.llms.iter().map(|llm| llm.id.as_str()).collect::<Vec<_>>(), ids);
        assert_eq!(known.effect.ncols(), 2);
        let draw = Draw { seed: 0, seen: None, feedback: Feedback::Full };
        let world = Users::Nine.world(&data, WorldKind::Line, KEY).unwrap();
        let all = population(&data, &split, &world, draw);
        let seen = new.interactions(&all);
        assert_eq!(seen.entries.len(), 9 * 112 * 2);
        assert!(seen.entries.iter().all(|entry| entry.llm < 2));
        let [mut observed, mut train] = [new.order, split.train];
        observed.sort_unstable();
        train.sort_unstable();
        assert!(observed == train);
    }
}
