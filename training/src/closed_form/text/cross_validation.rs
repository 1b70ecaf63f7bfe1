//! Cross-validation of predictions: the reward of the choices that left-out predictions make, over all preferences.

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::constants::PREFERENCE_GRID;

/// Rewards of answers to training queries, at evenly spread preferences.
#[derive(Debug)]
pub struct CrossValidation {
    /// `[preferences]`.
    preferences: Tensor,
    /// `[queries, llms, preferences]`.
    rewards: Tensor,
    /// `[queries, llms, 1]`: answers that nobody rated.
    unrated: Tensor,
}

impl CrossValidation {
    /// Takes the queries at `rows` of the components.
    pub fn new(components: &Components, rows: &Tensor) -> Self {
        let pick = |table: &Tensor| table.index_select(0, rows).to_kind(Kind::Float);
        let preferences = (Tensor::arange(PREFERENCE_GRID, (Kind::Float, Device::Cpu)) + 0.5) / PREFERENCE_GRID as f64;
        Self {
            rewards: utility(&preferences, &pick(&components.effect), &pick(&components.cost)),
            unrated: pick(&components.weight).le(0.0).unsqueeze(2),
            preferences,
        }
    }

    /// Returns `[queries]`: the mean reward of choices by these coefficients, each `[queries, llms]`, or one row for all
    /// queries.
    pub fn reward(&self, effect: &Tensor, cost: &Tensor) -> Tensor {
        let predicted = utility(&self.preferences, effect, cost).expand_as(&self.rewards);
        let choice = predicted.masked_fill(&self.unrated, f64::NEG_INFINITY).argmax(1, true);
        self.rewards.gather(1, &choice, false).mean_dim([1, 2].as_slice(), false, Kind::Double)
    }
}

/// Returns utilities `[queries, llms, preferences]`.
fn utility(preferences: &Tensor, effect: &Tensor, cost: &Tensor) -> Tensor {
    effect.unsqueeze(2) * preferences + cost.unsqueeze(2) * (preferences.ones_like() - preferences)
}
