//! The network's layers: node states, edge values, the user update, and the decoder.
//!
//! A user's state is a vector of weights. An edge (user, query, LLM) has a vector of values, made of the states of its task,
//! its LLM and its query; the utility is their product. Messages of a user's edges are what each judgement tells of the
//! weights; [`update`] adds them up.

pub mod nodes;
pub mod params;
pub mod update;
pub mod values;

use tch::Tensor;

use super::batch::Batch;
use super::start::Start;
use params::Params;
use update::Posterior;
use values::EdgeValues;

/// A network at work on a start's tables.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// What is learned.
    pub params: &'a Params,
    /// What is given.
    pub start: &'a Start,
}

/// What a network makes of a batch.
#[derive(Debug)]
pub struct Prediction {
    /// Users by their visible edges.
    pub users: Posterior,
    /// `[B, N]`: utilities of all edges, as of a query that nobody has judged.
    pub utility: Tensor,
}

impl Network<'_> {
    /// Reads the visible edges of a batch, and predicts the utilities of all its edges.
    pub fn forward(&self, batch: &Batch) -> Prediction {
        let values = EdgeValues::new(self, batch);
        let users = update::update(self.params, &values.read, &values.mean, batch);
        let utility = values.utility(&users.weights);
        Prediction { users, utility }
    }

    /// Reads the visible edges of a batch.
    pub fn users(&self, batch: &Batch) -> Posterior {
        let values = EdgeValues::new(self, batch);
        update::update(self.params, &values.read, &values.mean, batch)
    }
}
