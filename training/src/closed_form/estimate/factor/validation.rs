//! Masked edges: each rating against what the user's others say of it, with tastes and without.

use tch::{Kind, Tensor};

use crate::closed_form::estimate::factor::analysis::{CHUNK, DRIFT, Evidence, Told};
use crate::closed_form::estimate::ratings::Observed;

/// Standard errors by which tastes must foretell masked ratings better.
const CLEAR: f64 = 4.0;
/// Share of the masked ratings' squared error that tastes must explain: real ratings of single answers, by users without
/// tastes, once bore out 0.4 per cent; generated users with tastes, 20 and more.
const WORTH: f64 = 0.02;

/// Returns whether these tastes foretell masked ratings clearly better than positions alone.
pub(super) fn foretell(
    observed: &Observed,
    evidence: &Evidence,
    (asked, sample): (&Tensor, &Told),
    (loadings, scale): (&Tensor, f64),
) -> bool {
    let users = asked.size().first().copied().unwrap_or(0);
    let row_of = Tensor::full([observed.users], -1, (Kind::Int64, asked.device()));
    let row_of = row_of.index_copy(0, asked, &Tensor::arange(users, (Kind::Int64, asked.device())));
    let row = row_of.index_select(0, &observed.user);
    let ratings = row.ge(0).nonzero().view([-1]);
    let row = row.index_select(0, &ratings);
    let pick = |column: &Tensor| column.index_select(0, &ratings);
    let [slope, error, weight] = [&evidence.slope, &evidence.error, &evidence.weight].map(pick);
    let llm = pick(&observed.cell.remainder(observed.llms));
    let alone = {
        let [square, pull, ..] = &sample.sums;
        let variance = (square / sample.scale() + DRIFT.powi(-2)).reciprocal();
        let shift = (&variance * pull / sample.scale()).index_select(0, &row);
        let own = &weight / sample.scale() * slope.square() * variance.index_select(0, &row);
        masked(&(&error - &slope * shift), &own)
    };
    let posterior = sample.posterior(loadings, scale, DRIFT);
    let width = 1 + loadings.size().last().copied().unwrap_or(0);
    let step = (CHUNK / (width * width)).max(1);
    let mut with = Vec::new();
    let mut begin = 0;
    while begin < ratings.numel() as i64 {
        let count = step.min(ratings.numel() as i64 - begin);
        let part = |column: &Tensor| column.narrow(0, begin, count);
        let row = part(&row);
        let known = Tensor::cat(&[&part(&slope).unsqueeze(1), &loadings.index_select(0, &part(&llm))], 1); // [n, 1 + K]
        let covariance = posterior.covariance.index_select(0, &row);
        let own = covariance.matmul(&known.unsqueeze(2)).squeeze_dim(2) * &known;
        let own = own.sum_dim_intlist(1, false, Kind::Double) * part(&weight) / scale;
        let expected = (posterior.mean.index_select(0, &row) * known).sum_dim_intlist(1, false, Kind::Double);
        with.push(masked(&(part(&error) - expected), &own));
        begin += count;
    }
    let before = (&weight * alone.square()).sum(Kind::Double).double_value(&[]) / users as f64;
    let gain = weight * (alone.square() - Tensor::cat(&with, 0).square());
    let gain = Tensor::zeros([users], (Kind::Double, gain.device())).index_add(0, &row, &gain);
    let mean = gain.mean(Kind::Double).double_value(&[]);
    let chance = gain.std(true).double_value(&[]) / (users as f64).sqrt();
    mean > (CLEAR * chance).max(WORTH * before)
}

/// Returns errors as they would be had each rating been unknown; `own` is its share in its own prediction.
fn masked(error: &Tensor, own: &Tensor) -> Tensor {
    let others: Tensor = 1.0 - own;
    error / others.clamp_min(0.05)
}
