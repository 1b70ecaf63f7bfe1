//! The loss of a batch: what hidden judgements say against what is predicted, averaged over their groups.

pub mod choice;
pub mod rating;

use tch::{Kind, Tensor};

use super::batch::Batch;
use super::network::Prediction;
use super::network::params::Params;

/// A sum over groups, and their number.
pub struct Sum {
    /// `[]`.
    pub total: Tensor,
    /// `[]`.
    pub groups: Tensor,
}

/// Returns the loss of a batch's hidden edges as a sum.
pub fn sum(params: &Params, prediction: &Prediction, batch: &Batch) -> Sum {
    let device = params.noise.device();
    let zero = || Tensor::zeros([], (Kind::Float, device));
    let mut all = Sum { total: zero(), groups: zero() };
    if batch.hidden.has_ratings {
        all.add(rating::sum(prediction, batch));
    }
    if batch.hidden.has_choices {
        all.add(choice::sum(params, prediction, batch));
    }
    all
}

impl Sum {
    /// Returns the mean, `[]`; 0 where there is no group.
    pub fn mean(&self) -> Tensor {
        &self.total / self.groups.clamp_min(1.0)
    }

    fn add(&mut self, other: Self) {
        self.total = &self.total + other.total;
        self.groups = &self.groups + other.groups;
    }
}
