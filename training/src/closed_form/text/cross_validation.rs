//! Judges choices on training queries: what they would have earned users of all preferences.

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;

/// Preferences of the judges, spread evenly from cost to quality.
const JUDGES: i64 = 20;

/// What answers to queries are worth to the judges.
#[derive(Debug)]
pub struct Judge {
    /// `[judges]`.
    at: Tensor,
    /// `[queries, llms, judges]`.
    truth: Tensor,
    /// `[queries, llms, 1]`: answers that nobody rated.
    unseen: Tensor,
}

impl Judge {
    /// Takes the queries at `rows` of the components.
    pub fn new(components: &Components, rows: &Tensor) -> Self {
        let pick = |table: &Tensor| table.index_select(0, rows).to_kind(Kind::Float);
        let at = (Tensor::arange(JUDGES, (Kind::Float, Device::Cpu)) + 0.5) / JUDGES as f64;
        Self {
            truth: utility(&at, &pick(&components.high), &pick(&components.low)),
            unseen: pick(&components.weight).le(0.0).unsqueeze(2),
            at,
        }
    }

    /// Returns `[queries]`: the mean reward of choices by these ends, each `[queries, llms]`, or one row for all queries.
    pub fn reward(&self, high: &Tensor, low: &Tensor) -> Tensor {
        let told = utility(&self.at, high, low).expand_as(&self.truth);
        let choice = told.masked_fill(&self.unseen, f64::NEG_INFINITY).argmax(1, true);
        self.truth.gather(1, &choice, false).mean_dim([1, 2].as_slice(), false, Kind::Double)
    }
}

/// Returns utilities `[queries, llms, judges]`.
fn utility(at: &Tensor, high: &Tensor, low: &Tensor) -> Tensor {
    high.unsqueeze(2) * at + low.unsqueeze(2) * (at.ones_like() - at)
}
