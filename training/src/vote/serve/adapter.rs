//! The adapter of a model of votes: users who rate instead of voting are embedded as a mixture of frequent voters.

use std::cmp::Reverse;

use tch::{Kind, Tensor};

use super::{SHARED, VoteFit};
use crate::closed_form::model::adapter::Adapter;
use crate::model::tensors::{rounded, single};
use crate::vote::design::Block;

/// Voters among whom a new user is embedded.
const VOTERS: usize = 48;

impl VoteFit<'_> {
    /// Returns the posterior over the most frequent voters, by the likelihood of ratings as wins. The population is one more
    /// voter whose prior weight equals that of all of them.
    pub(super) fn adapter(&self, values: &Tensor, embeddings: &Tensor) -> Adapter {
        let counts = self.counts();
        let mut frequent: Vec<i64> = (0..).take(counts.len()).collect();
        frequent.sort_by_key(|&user| Reverse(usize::try_from(user).ok().and_then(|user| counts.get(user))));
        frequent.truncate(VOTERS);
        let factors = values.size().last().copied().unwrap_or(SHARED) - SHARED;
        let population = self.table(Block::Position, &[1, 1]).constant_pad_nd([0, factors]);
        let voters = embeddings.index_select(0, &Tensor::from_slice(&frequent));
        let embedding = Tensor::cat(&[population, voters], 0); // [V, 1 + factors]
        let own = values.narrow(2, SHARED, factors).matmul(&embedding.narrow(1, 1, factors).tr()); // [T, L, V]
        let utilities = values.select(2, 0) + own.permute([2, 0, 1]);
        let mut prior = vec![0.0_f32; frequent.len() + 1];
        prior.iter_mut().take(1).for_each(|weight| *weight = single((frequent.len().max(1) as f64).ln()));
        Adapter {
            table: log_likelihoods(&utilities),
            range: [0.0, 1.0],
            bins: 2,
            prior: Tensor::from_slice(&prior),
            embedding: embedding.to_kind(Kind::Float),
            // The factors are in the embeddings of the voters.
            loadings: None,
        }
    }
}

/// Returns the log-probability `ln σ(utility)` of a win (reward 1) and of a loss (reward 0) for each (task, LLM) pair, given
/// utilities `[voters, tasks, llms]`; a reward in between is interpolated.
fn log_likelihoods(utilities: &Tensor) -> Tensor {
    let against = utilities - utilities.mean_dim([2].as_slice(), true, Kind::Double);
    let sides = Tensor::stack(&[(-&against).log_sigmoid(), against.log_sigmoid()], 3); // [V, T, L, 2]
    let unknown = sides.mean_dim([1].as_slice(), true, Kind::Double);
    let all = Tensor::cat(&[&sides, &unknown], 1);
    rounded(&all.permute([1, 2, 3, 0]).flatten(0, 2).contiguous())
}
