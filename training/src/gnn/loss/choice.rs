//! The loss of choices and votes: cross-entropy over the answers shown; of a vote, the user's liking for a side counts too.

use tch::Kind;

use super::Sum;
use crate::gnn::batch::Batch;
use crate::gnn::network::Prediction;
use crate::gnn::network::params::Params;
use crate::gnn::network::update::softmax;

/// Returns the loss of hidden choices and votes.
pub fn sum(params: &Params, prediction: &Prediction, batch: &Batch) -> Sum {
    let mask = &batch.hidden.choice;
    let scale = params.noise.get(3).exp();
    let logits = &prediction.utility * scale + &prediction.users.side * &batch.left; // [B, N]
    let chance = softmax(&logits, mask, batch).clamp_min(1e-9);
    let surprise = chance.log() * &batch.value * mask * -1.0;
    let groups = batch.groups.count(mask).gt(0.0).to_kind(Kind::Float);
    Sum { total: surprise.sum(Kind::Float), groups: groups.sum(Kind::Float) }
}
