//! The user update: messages of a user's edges, added up and solved for the user's weights.
//!
//! The message of an edge is how precisely its judgement tells the weights, and in which direction: with a Gaussian prior,
//! weights are the mean of their posterior (the Bayesian linear regression of Bishop 2006, equations 3.50 and 3.51). Ratings
//! of a group share the query's difficulty and the user's leniency, so differences inside the group and its mean count with
//! precisions of their own. Choices and votes have a softmax likelihood, of which each step of Newton's method takes the
//! square that fits best (Laplace's approximation). Values, precisions and prior are learned through the solution.

use tch::{Kind, Tensor};

use super::params::Params;
use crate::gnn::batch::Batch;
use crate::gnn::constants::NEWTON_STEPS;

/// Weights of users, and how precisely they are known.
#[derive(Debug)]
pub struct Posterior {
    /// `[B, weights]`.
    pub weights: Tensor,
    /// `[B, 1]`: the user's leniency with ratings.
    pub leniency: Tensor,
    /// `[B, 1]`: how much the user favours the left side.
    pub side: Tensor,
    /// `[B, weights, weights]`: covariance of the weights.
    pub covariance: Tensor,
}

/// Sums of messages: precision `[B, A, A]` and its product with the weights `[B, A, 1]`. `A` are the weights, the leniency and
/// the side.
struct Messages {
    precision: Tensor,
    pull: Tensor,
}

/// Returns the users of a batch by its visible edges.
pub fn update(params: &Params, values: &Tensor, mean: &Tensor, batch: &Batch) -> Posterior {
    let width = values.size().last().copied().unwrap_or(1);
    let prior = params.precision.exp().diag_embed(0, 0, 1).unsqueeze(0); // [1, A, A]
    // Values of an unknown rating or choice with the prior's weights.
    let mean = mean + values.matmul(&params.prior);
    let ratings = batch.visible.has_ratings.then(|| ratings(params, values, &mean, batch));
    let (mut precision, pull) = match ratings {
        Some(Messages { precision, pull }) => (precision + &prior, pull),
        None => {
            let users = batch.groups.users();
            let zeros = Tensor::zeros([users, width + 2, 1], (Kind::Float, values.device()));
            (prior.repeat([users, 1, 1]), zeros)
        }
    };
    let mut state = solve(&precision, &pull); // [B, A, 1]
    if batch.visible.has_choices {
        let rated = precision;
        precision = rated.shallow_clone();
        for _ in 0..NEWTON_STEPS {
            let told = choices(params, values, (&mean, &state), batch);
            precision = &rated + &told.precision;
            state = solve(&precision, &(&pull + told.pull));
        }
    }
    let state_of = |at: i64, count: i64| state.narrow(1, at, count).squeeze_dim(2);
    Posterior {
        weights: state_of(0, width) + &params.prior,
        leniency: state_of(width, 1),
        side: state_of(width + 1, 1),
        covariance: inverse(&precision).narrow(1, 0, width).narrow(2, 0, width),
    }
}

/// Messages of ratings: differences inside a group, and means of groups.
fn ratings(params: &Params, values: &Tensor, mean: &Tensor, batch: &Batch) -> Messages {
    let (groups, mask) = (&batch.groups, &batch.visible.rating);
    let each = mask.unsqueeze(2);
    let count = groups.count(mask); // [B · G, 1]
    let some = count.clamp_min(1.0);
    let residual = ((&batch.value - mean) * mask).unsqueeze(2); // [B, N, 1]
    let average = |rows: &Tensor| groups.sum(&(rows * &each)) / &some; // [B · G, K]
    let (value_mean, residual_mean) = (average(values), average(&residual));
    let value_rest = (values - groups.spread(&value_mean)) * &each;
    let residual_rest = (residual - groups.spread(&residual_mean)) * &each;
    let precision = params.noise.exp();
    let [by_difference, by_mean] = [0, 1].map(|at| precision.get(at));
    // The mean's variance: the query's difficulty, and the noise of as many ratings as there are.
    let of_group = count.gt(0.0).to_kind(Kind::Float) / (by_mean.reciprocal() + (&by_difference * &some).reciprocal());
    let users = groups.users();
    let by_user = |rows: Tensor| {
        let width = rows.size().last().copied().unwrap_or(1);
        rows.view([users, -1, width])
    };
    let value_mean = by_user(with(&value_mean, [1.0, 0.0])); // [B, G, A]
    let weighted = (&value_mean * by_user(of_group)).transpose(1, 2);
    let value_rest = with(&value_rest, [0.0, 0.0]); // [B, N, A]
    let turned = (&value_rest * by_difference).transpose(1, 2);
    Messages {
        precision: turned.bmm(&value_rest) + weighted.bmm(&value_mean),
        pull: turned.bmm(&residual_rest) + weighted.bmm(&by_user(residual_mean)),
    }
}

/// Messages of choices and votes at `state`: the square that fits their likelihood there.
fn choices(params: &Params, values: &Tensor, (mean, state): (&Tensor, &Tensor), batch: &Batch) -> Messages {
    let (groups, mask) = (&batch.groups, &batch.visible.choice);
    let [weight, scale] = [2, 3].map(|at| params.noise.get(at).exp());
    let side = batch.left.unsqueeze(2);
    let values = Tensor::cat(&[&(values * &scale), &side.zeros_like(), &side], 2); // [B, N, A]
    let logits = mean * &scale + values.matmul(state).squeeze_dim(2);
    let chance = softmax(&logits, mask, batch).unsqueeze(2); // [B, N, 1]
    let expected = groups.spread(&groups.sum(&(&chance * &values)));
    let rest = (&values - expected) * mask.unsqueeze(2);
    let turned = (&rest * &chance * &weight).transpose(1, 2); // [B, A, N]
    let precision = turned.bmm(&rest);
    let surprise = (batch.value.unsqueeze(2) - &chance) * mask.unsqueeze(2) * weight;
    let pull = rest.transpose(1, 2).bmm(&surprise) + precision.bmm(state);
    Messages { precision, pull }
}

/// Softmax over the masked edges of each group, `[B, N]`.
pub fn softmax(logits: &Tensor, mask: &Tensor, batch: &Batch) -> Tensor {
    // One shift a user: groups of a user have similar logits, and the largest must not overflow.
    let shift = logits.detach().amax([1].as_slice(), true);
    let grown = (logits - shift).clamp_min(-60.0).exp() * mask;
    let total = batch.groups.spread(&batch.groups.sum(&grown.unsqueeze(2)).clamp_min(1e-30)).squeeze_dim(2);
    grown / total
}

/// Adds the columns of leniency and side.
fn with(rows: &Tensor, columns: [f64; 2]) -> Tensor {
    let size: Vec<i64> = rows.size().iter().copied().rev().skip(1).rev().chain([1]).collect();
    let [leniency, side] = columns.map(|x| Tensor::full(&size, x, (Kind::Float, rows.device())));
    let last = size.len() as i64 - 1;
    Tensor::cat(&[rows, &leniency, &side], last)
}

/// Solves without an exception: what is not finite must come out as a loss that is not, which names its batch.
fn solve(precision: &Tensor, pull: &Tensor) -> Tensor {
    let (state, _) = Tensor::linalg_solve_ex(precision, pull, true, false);
    state
}

fn inverse(precision: &Tensor) -> Tensor {
    let (inverse, _) = tch::no_grad(|| Tensor::linalg_inv_ex(&precision.detach(), false));
    inverse
}
