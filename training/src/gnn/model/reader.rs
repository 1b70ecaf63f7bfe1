//! Reads a user's interactions by tables alone: the user update without the graph behind it.
//!
//! It knows of a response its (task, LLM) and the length of its query; of an unknown task, the mean over tasks. Where a user
//! starts from what training made of it, the information behind that stands beside the prior's, in proportion to the number of
//! interactions. [`crate::export::gnn`] writes the same sums as a graph of ONNX.

use personaroute_bundle::interaction::InteractionKind;
use tch::{Device, Kind, Tensor};

use crate::gnn::constants::NEWTON_STEPS;
use crate::gnn::network::{Network, nodes};
use crate::graph::interaction::InteractionBatch;

/// Least weight of a group: what weighs less is divided by this.
pub const LEAST_WEIGHT: f64 = 1e-6;
/// Least logarithm of a choice's odds against the user's best.
pub const LEAST_LOGIT: f64 = -60.0;
/// Least sum of a group's odds.
pub const LEAST_ODDS: f64 = 1e-30;

/// Tables of the user update, in units. A state is the weights, then the leniency.
#[derive(Debug)]
pub struct Reader {
    /// `[llms, tasks + 1 + features, weights + 1]`: values of a response by task, of an unknown task, and by length; then what a
    /// user of the prior's weights thinks of it.
    pub table: Tensor,
    /// `[weights]`: weights of a user nothing is known about.
    pub prior: Tensor,
    /// `[weights + 1]`: precisions of the prior's state.
    pub precision: Tensor,
    /// `[4]`: precisions of a difference between ratings and of a group's mean, where nobody else has judged the answers; weight
    /// and scale of a choice.
    pub noise: Tensor,
    /// `[2]`: reward of one unit, and the reward at zero.
    pub scale: Tensor,
    /// `[weights, weights]`: information of an interaction, the mean over training.
    pub information: Tensor,
    /// `[weights, weights]`: how much a change of weights changes the differences between LLMs.
    pub metric: Tensor,
    /// `[weights, weights]`: from weights to parts of which the prior has variance 1, and which interactions tell apart.
    pub parts: Tensor,
    /// `[1]`: how many times less interactions tell than the posterior says.
    pub temper: Tensor,
}

/// Users as their interactions say.
#[derive(Debug)]
pub struct Reading {
    /// `[users, weights]`.
    pub weights: Tensor,
    /// `[users, weights, weights]`: covariance of the weights.
    pub covariance: Tensor,
}

/// What an interaction tells of a user's weights, on average.
#[derive(Debug)]
pub struct Information {
    /// `[weights, weights]`.
    pub information: Tensor,
    /// `[weights, weights]`: from weights to independent parts of variance 1.
    pub parts: Tensor,
}

impl Information {
    /// Takes the information of an interaction and the precisions of the prior `[weights]`: the parts are the principal axes of
    /// the information where the prior is round.
    pub fn new(information: &Tensor, prior: &Tensor) -> Self {
        let [information, prior] = [information, prior].map(|tensor| tensor.to_kind(Kind::Double));
        let root = prior.sqrt();
        let round = &information / root.unsqueeze(1) / root.unsqueeze(0);
        let (_, axes) = round.linalg_eigh("L");
        let parts = axes.tr() * root.unsqueeze(0);
        Self { information: information.to_kind(Kind::Float), parts: parts.to_kind(Kind::Float) }
    }
}

/// Columns of a batch in double precision: the system is too ill-conditioned for single.
struct Columns {
    /// `[U, N, A]`.
    values: Tensor,
    /// `[U, N, 1]`: what a user of the prior's weights thinks.
    mean: Tensor,
    /// `[U, N, 1]`.
    value: Tensor,
    /// `[U, N, N]`: 1 where two interactions share group and kind.
    same: Tensor,
    /// `[U, N, 1]`: weights of ratings and of choices.
    weights: [Tensor; 2],
}

/// Sums of messages: precision `[U, A, A]` and its product with the state `[U, A, 1]`.
struct Messages {
    precision: Tensor,
    pull: Tensor,
}

impl Reader {
    /// Takes the tables out of a network; `information` is that of an interaction.
    pub fn new(network: Network<'_>, Information { information, parts }: Information) -> Self {
        let (params, start) = (network.params, network.start);
        let cpu = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu);
        let learned = cpu(&nodes::cells(&network));
        let values = match &start.ends {
            None => learned,
            Some(ends) => {
                let (high, low) = (ends.cells.select(2, 0), ends.cells.select(2, 1)); // [T, L]
                let given = Tensor::stack(&[&(&high - &low), &low], 2) / start.scale[0];
                Tensor::cat(&[given.view([-1, 2]), learned], 1)
            }
        };
        let width = values.size().last().copied().unwrap_or(1);
        let prior = cpu(&params.prior);
        let by_task = Tensor::cat(&[&values, &cpu(&params.mean).unsqueeze(1)], 1).view([-1, start.llms, width + 1]);
        let unknown = by_task.mean_dim(0, true, Kind::Float);
        let features = start.lengths.features();
        let lengths = cpu(&params.lengths).view([start.llms, features, -1]).constant_pad_nd([start.given(), 0]);
        let lengths = Tensor::cat(&[lengths, cpu(&params.mean_lengths).unsqueeze(2)], 2); // [L, F, K + 1]
        let table = Tensor::cat(&[Tensor::cat(&[by_task.shallow_clone(), unknown], 0).transpose(0, 1), lengths], 1);
        let (own, mean) = (table.narrow(2, 0, width), table.narrow(2, width, 1));
        let mean = mean + own.matmul(&prior.unsqueeze(1));
        let centred = by_task.narrow(2, 0, width) - by_task.narrow(2, 0, width).mean_dim(1, true, Kind::Float);
        let centred = centred.reshape([-1, width]);
        Self {
            table: Tensor::cat(&[own, mean], 2).contiguous(),
            precision: cpu(&params.precision).exp().narrow(0, 0, width + 1),
            noise: noise(&cpu(&params.noise).exp(), start.ends.as_ref().map_or([0.0; 2], |ends| ends.unread)),
            scale: Tensor::from_slice(&start.scale).to_kind(Kind::Float),
            metric: centred.tr().matmul(&centred) / centred.size().first().copied().unwrap_or(1).max(1) as f64,
            prior,
            information,
            parts,
            temper: Tensor::from_slice(&[1.0_f32]),
        }
    }

    /// Returns the number of weights.
    pub fn width(&self) -> i64 {
        self.prior.size().first().copied().unwrap_or(1)
    }

    /// Reads users; `lengths` are features of the queries' lengths by task `[users · interactions, tasks · features]`.
    pub fn forward(&self, batch: &InteractionBatch, lengths: &Tensor) -> Reading {
        let columns = self.columns(batch, lengths);
        let begin = self.begin(batch);
        let rated = self.ratings(&columns);
        let precision = begin.precision + rated.precision;
        let pull = begin.pull + rated.pull;
        let mut state = solve(&precision, &pull);
        let mut known = precision.shallow_clone();
        for _ in 0..NEWTON_STEPS {
            let told = self.choices(&columns, &state);
            known = &precision + &told.precision;
            state = solve(&known, &(&pull + told.pull));
        }
        let (covariance, _) = Tensor::linalg_inv_ex(&known, false);
        let width = self.width();
        Reading {
            weights: state.squeeze_dim(2).narrow(1, 0, width).to_kind(Kind::Float) + &self.prior,
            covariance: covariance.narrow(1, 0, width).narrow(2, 0, width),
        }
    }

    /// Returns the share of the prior's variance that is removed, `[users, 1]`.
    pub fn certainty(&self, reading: &Reading) -> Tensor {
        let before = self.variance();
        let left = (&reading.covariance * &self.metric).sum_dim_intlist([1, 2].as_slice(), false, Kind::Double);
        let removed: Tensor = 1.0 - left / before;
        removed.clamp(0.0, 1.0).to_kind(Kind::Float).unsqueeze(1)
    }

    /// Returns how much of the prior's variance is left of each part, `[users, weights]`.
    pub fn left(&self, covariance: &Tensor) -> Tensor {
        let parts = self.parts.to_kind(Kind::Double);
        let left = (parts.matmul(&covariance.to_kind(Kind::Double)) * &parts).sum_dim_intlist(2, false, Kind::Double);
        self.tempered(&left.clamp(0.0, 1.0).to_kind(Kind::Float), self.temper.double_value(&[0]))
    }

    /// Returns how much is left where interactions tell so many times less.
    pub fn tempered(&self, left: &Tensor, temper: f64) -> Tensor {
        left * temper / (left * (temper - 1.0) + 1.0)
    }

    /// Returns the variance of the prior, as it changes differences between LLMs.
    pub fn variance(&self) -> f64 {
        let prior = self.precision.narrow(0, 0, self.width()).to_kind(Kind::Double).reciprocal();
        (self.metric.diag(0) * prior).sum(Kind::Double).double_value(&[]).max(LEAST_WEIGHT)
    }

    /// What is known before: the prior and the information behind the start.
    fn begin(&self, batch: &InteractionBatch) -> Messages {
        let width = self.width();
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let own = double(&self.precision.narrow(0, 0, width)).diag_embed(0, 0, 1).unsqueeze(0)
            + double(&batch.start_interactions).unsqueeze(2) * double(&self.information); // [U, K, K]
        let leniency =
            double(&self.precision.narrow(0, width, 1)).diag_embed(0, 0, 1).constant_pad_nd([width, 0, width, 0]);
        let away = double(&(batch.start.narrow(1, 0, width) - &self.prior)).unsqueeze(2);
        Messages {
            pull: own.bmm(&away).constant_pad_nd([0, 0, 0, 1]),
            precision: own.constant_pad_nd([0, 1, 0, 1]) + leniency,
        }
    }

    fn columns(&self, batch: &InteractionBatch, lengths: &Tensor) -> Columns {
        let [users, edges] = [batch.inputs.users, batch.inputs.interactions].map(|count| count as i64);
        let (width, tasks) = (self.width(), batch.tasks as i64);
        let task = batch.task();
        let unknown: Tensor = 1.0 - task.sum_dim_intlist(2, true, Kind::Float);
        let features = lengths.size().last().copied().unwrap_or(0) / tasks.max(1);
        let lengths = task.view([-1, 1, tasks]).bmm(&lengths.view([-1, tasks, features])); // [U · N, 1, F]
        let coefficients = Tensor::cat(&[task, unknown, lengths.view([users, edges, features])], 2);
        let rows = self.table.index_select(0, &Tensor::from_slice(&batch.inputs.llm)); // [U · N, C, K + 1]
        let both = coefficients.view([users * edges, 1, -1]).bmm(&rows).view([users, edges, width + 1]);
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let both = double(&both);
        let values = both.narrow(2, 0, width);
        let pair = |column: &[i64]| {
            let column = batch.whole(column);
            column.unsqueeze(2).eq_tensor(&column.unsqueeze(1))
        };
        Columns {
            values: Tensor::cat(&[&values, &values.narrow(2, 0, 1).ones_like()], 2),
            mean: both.narrow(2, width, 1),
            value: double(&batch.real(&batch.inputs.value)).unsqueeze(2),
            same: double(&pair(&batch.inputs.group).logical_and(&pair(&batch.inputs.kind))),
            weights: [InteractionKind::Rating, InteractionKind::Choice]
                .map(|kind| double(&batch.weight(kind)).unsqueeze(2)),
        }
    }

    /// Messages of ratings: differences inside a group, and means of groups.
    fn ratings(&self, columns: &Columns) -> Messages {
        let Columns { values, same, weights: [weight, _], .. } = columns;
        let [unit, zero] = [0, 1].map(|at| self.scale.double_value(&[at]));
        let residual = (&columns.value - zero) / unit - &columns.mean;
        let count = same.bmm(weight).clamp_min(LEAST_WEIGHT); // [U, N, 1]
        let average = |rows: &Tensor| same.bmm(&(rows * weight)) / &count;
        let (value_mean, residual_mean) = (average(values), average(&residual));
        let [by_difference, by_mean] = [0, 1].map(|at| self.noise.double_value(&[at]));
        // 1 / (1 / by_mean + 1 / (by_difference · n)) / n = 1 / (n / by_mean + 1 / by_difference)
        let of_group = weight / (&count / by_mean + by_difference.recip());
        let rest = values - &value_mean;
        let turned = (&rest * weight * by_difference).transpose(1, 2);
        let weighted = (&value_mean * of_group).transpose(1, 2);
        Messages {
            precision: turned.bmm(&rest) + weighted.bmm(&value_mean),
            pull: turned.bmm(&(residual - &residual_mean)) + weighted.bmm(&residual_mean),
        }
    }

    /// Messages of choices at `state`: the square that fits their likelihood there.
    fn choices(&self, columns: &Columns, state: &Tensor) -> Messages {
        let Columns { values, mean, value, same, weights: [_, weight] } = columns;
        let [strength, scale] = [2, 3].map(|at| self.noise.double_value(&[at]));
        let present = weight.gt(0.0).to_kind(Kind::Double);
        // The leniency changes no choice.
        let values = values.narrow(2, 0, self.width()).constant_pad_nd([0, 1]) * scale;
        let logits = mean * scale + values.bmm(state);
        let grown = (&logits - logits.amax([1].as_slice(), true)).clamp_min(LEAST_LOGIT).exp() * present;
        let chance = &grown / same.bmm(&grown).clamp_min(LEAST_ODDS); // [U, N, 1]
        let rest = &values - same.bmm(&(&chance * &values));
        let weight = weight * strength;
        let precision = (&rest * &chance * &weight).transpose(1, 2).bmm(&rest);
        let pull = rest.transpose(1, 2).bmm(&((value - chance) * weight)) + precision.bmm(state);
        Messages { precision, pull }
    }
}

/// Returns precisions with these variances beside them.
fn noise(precisions: &Tensor, [inside, between]: [f64; 2]) -> Tensor {
    let added = Tensor::from_slice(&[inside, between, 0.0, 0.0]).to_kind(Kind::Float);
    (precisions.reciprocal() + added).reciprocal()
}

fn solve(precision: &Tensor, pull: &Tensor) -> Tensor {
    let (state, _) = Tensor::linalg_solve_ex(precision, pull, true, false);
    state
}
