//! The loss of ratings: squared errors of differences inside a group, which decide choices, and a share of that of its mean.

use tch::Kind;

use super::Sum;
use crate::gnn::batch::Batch;
use crate::gnn::constants::MEAN_SHARE;
use crate::gnn::network::Prediction;

/// Returns the loss of hidden ratings.
pub fn sum(prediction: &Prediction, batch: &Batch) -> Sum {
    let (groups, mask) = (&batch.groups, batch.hidden.rating.unsqueeze(2)); // [B, N, 1]
    let predicted = &prediction.utility + &prediction.users.leniency;
    let error = (predicted - &batch.value).unsqueeze(2) * &mask;
    let count = groups.sum(&mask); // [B · G, 1]
    let some = count.clamp_min(1.0);
    let mean = groups.sum(&error) / &some;
    let rest = (error - groups.spread(&mean)) * mask;
    let differences = groups.sum(&rest.square()) / &some;
    // A rating that stands alone has no difference: its error is all there is.
    let share = some.reciprocal().clamp_min(MEAN_SHARE);
    let known = count.gt(0.0).to_kind(Kind::Float);
    Sum { total: (differences + mean.square() * share * &known).sum(Kind::Float), groups: known.sum(Kind::Float) }
}
