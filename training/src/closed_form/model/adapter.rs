//! From a user's interactions to the user's place between cost and quality: the message passing behind `adapter.onnx`.
//!
//! The message of an edge (user, LLM, task, reward) is the log-likelihood of that reward at each of a few positions s in
//! 0..1, one row of a table. A user node adds up the messages of its edges and the population's prior (naive Bayes); the
//! softmax is its belief, whose mean is the embedding. An edge without a task is heard as the mean over tasks.

use tch::{Device, Kind, Tensor};

use super::factor::{Heard, STEPS, Tastes};
use crate::graph::interaction::InteractionBatch;

/// Share of its word that an answer keeps when the user rated others to the same query: how hard the query was is then
/// heard several times. Between .3 and 1 it hardly matters without noise; with noise, .4 did best.
pub const GROUPED: f64 = 0.4;
/// Most answers' worth of evidence: beyond it the belief is sharp, and longer histories count by their mean.
pub const MOST: f64 = 64.0;

/// The tables of the message passing.
#[derive(Debug)]
pub struct Belief {
    /// `[(tasks + 1) · llms · bins, positions]`: log-likelihoods; the last task stands for an unknown one.
    pub table: Tensor,
    /// Reward of the first bin and of the last.
    pub range: [f64; 2],
    /// Bins of the reward.
    pub bins: i64,
    /// `[positions]`: the population's logarithmic density.
    pub prior: Tensor,
    /// `[positions, user_dim]`: the embedding of a user who stands there.
    pub embedding: Tensor,
    /// Tastes besides, in the last places of an embedding.
    pub tastes: Option<Tastes>,
}

/// What interactions say, `[users, interactions]` each.
struct Signals {
    reward: Tensor,
    grouped: Tensor,
    mask: Tensor,
}

impl Signals {
    fn of(visible: &InteractionBatch) -> Self {
        let (users, width) = (visible.users as i64, visible.width as i64);
        let signals = Tensor::from_slice(&visible.signals).view([users, width, 3]);
        let mask = Tensor::from_slice(&visible.mask).view([users, width]);
        Self { reward: signals.select(2, 0), grouped: signals.select(2, 2), mask }
    }
}

impl Belief {
    /// Returns the width of a bin.
    pub fn step(&self) -> f64 {
        let [low, high] = self.range;
        ((high - low) / (self.bins - 1).max(1) as f64).max(1e-9)
    }

    /// Returns the belief `[users, positions]`, tastes aside; any task below 0 or from `tasks` on is an unknown one.
    pub fn posterior(&self, visible: &InteractionBatch, tasks: usize) -> Tensor {
        let reward = Signals::of(visible).reward.unsqueeze(2);
        let messages = self.messages(visible, tasks, &reward).squeeze_dim(2); // [U, N, G]
        let heard = self.weight(visible).unsqueeze(1).matmul(&messages).squeeze_dim(1);
        (heard + &self.prior).softmax(-1, Kind::Float)
    }

    /// Returns the embeddings `[users, user_dim]`.
    pub fn forward(&self, visible: &InteractionBatch, tasks: usize) -> Tensor {
        let Some(tastes) = &self.tastes else { return self.posterior(visible, tasks).matmul(&self.embedding) };
        let Heard { evidence, tastes: read } = self.hear(tastes, visible, tasks);
        let belief = (evidence + &self.prior).softmax(-1, Kind::Float);
        let read = belief.unsqueeze(1).matmul(&read).squeeze_dim(1); // [U, K]
        let before = self.embedding.size().last().copied().unwrap_or(0) - tastes.count();
        belief.matmul(&self.embedding) + read.constant_pad_nd([before, 0])
    }

    /// Hears every LLM's ratings, shifted by what a user may think of it.
    fn hear(&self, tastes: &Tastes, visible: &InteractionBatch, tasks: usize) -> Heard {
        let (users, width) = (visible.users as i64, visible.width as i64);
        let llm = Tensor::from_slice(&visible.llm);
        let shift = tastes.deviation().unsqueeze(1) * Tastes::steps(); // [L, S]
        let shift = shift.index_select(0, &llm).view([users, width, STEPS]);
        let reward = Signals::of(visible).reward.unsqueeze(2) - shift;
        let messages = self.messages(visible, tasks, &reward).flatten(2, 3); // [U, N, S · G]
        let llms = tastes.loadings.size().first().copied().unwrap_or(0);
        let of = llm.view([users, width]).one_hot(llms).to_kind(Kind::Float) * self.weight(visible).unsqueeze(2);
        tastes.hear(&of.transpose(1, 2).matmul(&messages).view([users, llms, STEPS, -1]))
    }

    /// Returns the messages `[users, interactions, steps, positions]` of rewards `[users, interactions, steps]`.
    fn messages(&self, visible: &InteractionBatch, tasks: usize, reward: &Tensor) -> Tensor {
        let (users, width, tasks) = (visible.users as i64, visible.width as i64, tasks as i64);
        let rows = self.table.size().first().copied().unwrap_or(0);
        let llms = rows / (self.bins * (tasks + 1)).max(1);
        let shaped = |flat: &[i64]| Tensor::from_slice(flat).view([users, width, 1]);
        let task = shaped(&visible.task);
        let unknown = task.lt(0).logical_or(&task.gt(tasks));
        let task = task.masked_fill(&unknown, tasks);
        let cell = task * llms + shaped(&visible.llm);
        let [low, _] = self.range;
        let last = (self.bins - 1) as f64;
        let place = ((reward - low) / self.step()).clamp(0.0, last);
        let bin = place.floor().clamp_max(last - 1.0);
        let upper = (&place - &bin).unsqueeze(3); // [U, N, S, 1]
        let row = cell * self.bins + bin.to_kind(Kind::Int64);
        let steps = row.size().last().copied().unwrap_or(1);
        let gather = |row: &Tensor| self.table.index_select(0, &row.view([-1])).view([users, width, steps, -1]);
        gather(&row) * (1.0 - &upper) + gather(&(&row + 1)) * &upper
    }

    /// Returns how much each interaction counts, `[users, interactions]`.
    fn weight(&self, visible: &InteractionBatch) -> Tensor {
        let Signals { grouped, mask, .. } = Signals::of(visible);
        let kept: Tensor = 1.0 - grouped * (1.0 - GROUPED);
        let weight = mask * kept;
        let total = weight.sum_dim_intlist(1, true, Kind::Float).clamp_min(MOST);
        weight * MOST / total
    }

    /// Returns the standard deviation `[users]` of the position that the belief leaves open.
    pub fn doubt(&self, posterior: &Tensor) -> Tensor {
        let places = self.places();
        let mean = posterior.mv(&places);
        (posterior.mv(&places.square()) - mean.square()).clamp_min(0.0).sqrt()
    }

    /// Returns the positions, evenly from 0 to 1.
    pub fn places(&self) -> Tensor {
        Tensor::linspace(0.0, 1.0, self.prior.size().first().copied().unwrap_or(2), (Kind::Float, Device::Cpu))
    }
}
