//! The rewards users would have had: hidden utilities of simulated users, or what was observed.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1};

use crate::data::world::World;
use crate::data::{Dataset, Interaction, Interactions};

use super::total::Totals;

/// Rewards of every user, query and LLM.
#[derive(Debug, Clone)]
pub enum GroundTruth<'a> {
    /// Hidden utilities of simulated users, or of users whose known preferences explain every reward.
    Simulated {
        /// Outcomes.
        dataset: &'a Dataset,
        /// Who the users are.
        world: World,
    },
    /// What users said, where they said it.
    Observed {
        /// All rated answers, those of test queries included; sorted by query inside a user.
        interactions: &'a Interactions,
        /// Number of LLMs.
        llms: usize,
    },
}

impl GroundTruth<'_> {
    /// Returns the number of users.
    pub fn users(&self) -> usize {
        match self {
            Self::Simulated { world, .. } => world.len(),
            Self::Observed { interactions, .. } => interactions.users.len(),
        }
    }

    /// Returns the users' hidden utilities, where they are known.
    pub fn world(&self) -> Option<&World> {
        match self {
            Self::Simulated { world, .. } => Some(world),
            Self::Observed { .. } => None,
        }
    }

    /// Returns the rewards of one user, `[queries, llms]`; NaN where nothing is known.
    pub fn rewards(&self, user: usize, queries: &[u32]) -> Array2<f64> {
        match self {
            Self::Simulated { dataset, world } => world.person(user).utilities(dataset, queries),
            Self::Observed { interactions, llms } => observed(interactions, user, queries, *llms),
        }
    }

    /// Returns each user's LLM of the highest mean reward on the training queries; the first among equals.
    ///
    /// Where rewards are only observed, those the user has `seen` count, and everybody's for a user without any.
    pub fn best_singles(&self, train: &[u32], seen: &Interactions) -> Vec<usize> {
        match self {
            Self::Simulated { dataset, world } => {
                let totals = Totals::new(dataset, world, train);
                (0..world.len()).map(|user| argmax(totals.means(&world.person(user)))).collect()
            }
            Self::Observed { interactions, llms } => {
                let best = |user| {
                    let own = seen.of(user);
                    argmax(mean_rewards(if own.is_empty() { &seen.entries } else { own }, *llms))
                };
                (0..interactions.users.len()).map(best).collect()
            }
        }
    }

    /// Returns the mean reward of each LLM on the training queries over all users, NaN where nothing is known.
    pub fn population_means(&self, train: &[u32], seen: &Interactions) -> Vec<f64> {
        match self {
            Self::Simulated { dataset, world } => {
                let totals = Totals::new(dataset, world, train);
                let mut sum = vec![0.0; dataset.llms.len()];
                for user in 0..world.len() {
                    sum.iter_mut().zip(totals.means(&world.person(user))).for_each(|(sum, mean)| *sum += mean);
                }
                sum.into_iter().map(|sum| sum / world.len() as f64).collect()
            }
            Self::Observed { llms, .. } => mean_rewards(&seen.entries, *llms),
        }
    }
}

/// A mean that leaves out what is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    /// Adds a number; NaN counts as not known.
    pub fn add(&mut self, value: f64) {
        if !value.is_nan() {
            self.sum += value;
            self.count += 1;
        }
    }

    /// Returns the mean, NaN when nothing is known.
    pub fn value(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

/// Returns the mean of each column over some rows, NaN where nothing is known.
pub fn means(array: &Array2<f32>, rows: &[u32]) -> Vec<f64> {
    let mut means = vec![Mean::default(); array.ncols()];
    for &row in rows {
        for (mean, &value) in means.iter_mut().zip(known(array, row)) {
            mean.add(f64::from(value));
        }
    }
    means.iter().map(Mean::value).collect()
}

/// Returns the mean reward of each LLM, NaN where nothing is known.
pub fn mean_rewards(entries: &[Interaction], llms: usize) -> Vec<f64> {
    let mut means = vec![Mean::default(); llms];
    for entry in entries {
        if let (Some(mean), Some(reward)) = (means.get_mut(usize::from(entry.llm)), entry.reward()) {
            mean.add(f64::from(reward));
        }
    }
    means.iter().map(Mean::value).collect()
}

/// Returns the position of the highest number, the first among equals; NaN never wins. 0 when there is none.
pub fn argmax(values: impl IntoIterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (at, value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (at, value);
        }
    }
    best.0
}

fn known(array: &Array2<f32>, query: u32) -> ArrayView1<'_, f32> {
    let row = query as usize;
    if row < array.nrows() { array.row(row) } else { ArrayView1::from(&[]) }
}

fn observed(interactions: &Interactions, user: usize, queries: &[u32], llms: usize) -> Array2<f64> {
    let rows: HashMap<u32, usize> = queries.iter().enumerate().map(|(row, &query)| (query, row)).collect();
    let mut rewards = Array2::from_elem((queries.len(), llms), f64::NAN);
    for entry in interactions.of(user) {
        let row = rows.get(&entry.query);
        let place = row.and_then(|&row| rewards.get_mut((row, usize::from(entry.llm))));
        if let (Some(value), Some(reward)) = (place, entry.reward()) {
            *value = f64::from(reward);
        }
    }
    rewards
}
