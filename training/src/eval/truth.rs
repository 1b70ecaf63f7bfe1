//! The rewards users would have had: computed from outcomes and preferences, or observed.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1};

use crate::data::simulate::reward;
use crate::data::{Dataset, Interaction, Interactions};

/// Rewards of every user, query and LLM.
#[derive(Debug, Clone)]
pub enum Truth<'a> {
    /// `p · effect − (1 − p) · cost` for users whose preference is known.
    Formula {
        /// Outcomes.
        dataset: &'a Dataset,
        /// Weight on quality of each user.
        preferences: Vec<f64>,
    },
    /// What users said, where they said it.
    Observed {
        /// All rated answers, those of test queries included; sorted by query inside a user.
        interactions: &'a Interactions,
        /// Number of LLMs.
        llms: usize,
    },
}

impl Truth<'_> {
    /// Returns the number of users.
    pub fn users(&self) -> usize {
        match self {
            Self::Formula { preferences, .. } => preferences.len(),
            Self::Observed { interactions, .. } => interactions.users.len(),
        }
    }

    /// Returns the weight on quality of each user, where it is known.
    pub fn preferences(&self) -> Option<&[f64]> {
        match self {
            Self::Formula { preferences, .. } => Some(preferences),
            Self::Observed { .. } => None,
        }
    }

    /// Returns the rewards of one user, `[queries, llms]`; NaN where nothing is known.
    pub fn rewards(&self, user: usize, queries: &[u32]) -> Array2<f64> {
        match self {
            Self::Formula { dataset, preferences } => {
                let preference = preferences.get(user).copied().unwrap_or(0.5);
                let mut rewards = Array2::from_elem((queries.len(), dataset.llms.len()), f64::NAN);
                for (mut row, &query) in rewards.rows_mut().into_iter().zip(queries) {
                    let outcomes = known(&dataset.effect, query).into_iter().zip(known(&dataset.cost, query));
                    for (value, (&effect, &cost)) in row.iter_mut().zip(outcomes) {
                        *value = reward(preference, effect, cost);
                    }
                }
                rewards
            }
            Self::Observed { interactions, llms } => observed(interactions, user, queries, *llms),
        }
    }

    /// Returns each user's LLM of the highest mean reward on the training queries; the first among equals.
    ///
    /// Where rewards are only observed, those the user has `seen` count, and everybody's for a user without any.
    pub fn best_singles(&self, train: &[u32], seen: &Interactions) -> Vec<usize> {
        match self {
            Self::Formula { dataset, preferences } => {
                let effects = means(&dataset.effect, train);
                let costs = means(&dataset.cost, train);
                let outcomes = || effects.iter().zip(&costs);
                let best = |p: &f64| argmax(outcomes().map(|(effect, cost)| p * effect - (1.0 - p) * cost));
                preferences.iter().map(best).collect()
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
