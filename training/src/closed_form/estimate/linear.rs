//! Alternating least squares of linear fits: the ratings of one answer are a line over the preference scores of the users
//! who gave them.

use tch::{Kind, Tensor};

use super::ratings::Ratings;
use crate::closed_form::constants::{LINEAR_ROUNDS, LINEAR_TOLERANCE, MAX_LEVERAGE, RIDGE, SCORE_TAIL};

/// Linear fits of all answers, and how well they predict held-out ratings. Everything in units of the ratings.
#[derive(Debug)]
pub struct LinearFit {
    /// `[users]`: preference scores, mean 0 and variance 1.
    pub scores: Tensor,
    /// `[answers]`: reward at score 0.
    pub intercept: Tensor,
    /// `[answers]`: change per unit of score.
    pub slope: Tensor,
    /// `[answers]`: number of ratings.
    pub count: Tensor,
    /// Root mean square error of each rating predicted from the others; infinite where there are too few.
    pub held_out: f64,
    /// Root mean square error of the fits.
    pub residual: f64,
}

/// Sums over the ratings of each answer (or each pair), for given scores of the users.
pub(super) struct Sums {
    /// Of ones, scores and squared scores.
    pub(super) n: [Tensor; 3],
    /// Of rewards, and of rewards times scores.
    pub(super) y: [Tensor; 2],
}

/// Alternates between lines and scores.
pub fn fit(ratings: &Ratings) -> LinearFit {
    let mut scores = ratings.initial_scores();
    let one = ratings.reward.ones_like();
    let (answer_count, pair_count) = (ratings.by_answer(&one), ratings.by_pair(&one));
    let (answer_reward, pair_reward) = (ratings.by_answer(&ratings.reward), ratings.by_pair(&ratings.reward));
    let pair_of_answer = ratings.pair_of_answer();
    let mut found = None;
    for _ in 0..LINEAR_ROUNDS {
        let x = scores.index_select(0, &ratings.user);
        let sums = |by: &dyn Fn(&Tensor) -> Tensor, n: &Tensor, y: &Tensor| Sums {
            n: [n.shallow_clone(), by(&x), by(&x.square())],
            y: [y.shallow_clone(), by(&(&x * &ratings.reward))],
        };
        let none = pair_count.zeros_like();
        let pairs = sums(&|column| ratings.by_pair(column), &pair_count, &pair_reward).line(1e-9, [&none, &none]);
        let [first, second] = pairs.map(|column| column.index_select(0, &pair_of_answer));
        let by_answer = sums(&|column| ratings.by_answer(column), &answer_count, &answer_reward);
        let [intercept, slope] = by_answer.line(RIDGE, [&first, &second]);
        let at = slope.index_select(0, &ratings.answer);
        let rest = &ratings.reward - intercept.index_select(0, &ratings.answer);
        let next = ratings.by_user(&(rest * &at)) / (ratings.by_user(&at.square()) + 1e-9);
        let next = ratings.standardised(&next);
        let moved = (&next - &scores).abs().max().double_value(&[]);
        scores = next;
        found = Some((by_answer, intercept, slope));
        if moved < LINEAR_TOLERANCE {
            break;
        }
    }
    let Some((sums, intercept, slope)) = found else {
        return LinearFit {
            scores,
            intercept: answer_count.zeros_like(),
            slope: answer_count.zeros_like(),
            count: answer_count,
            held_out: f64::INFINITY,
            residual: 0.0,
        };
    };
    let (held_out, residual) = errors(ratings, (&scores, &intercept, &slope), &sums);
    LinearFit { scores, intercept, slope, count: answer_count, held_out, residual }
}

impl LinearFit {
    /// Returns the share of rated answers with three or more ratings, which can contradict a line.
    pub fn coverage(&self) -> f64 {
        let count = |least: f64| self.count.ge(least).sum(Kind::Double).double_value(&[]);
        count(3.0) / count(1.0).max(1.0)
    }
}

impl Sums {
    /// Returns intercepts and slopes by ridge regression towards a prior.
    pub(super) fn line(&self, ridge: f64, [first, second]: [&Tensor; 2]) -> [Tensor; 2] {
        let ([n0, n1, n2], [y0, y1]) = (&self.n, &self.y);
        let (n0, n2) = (n0 + ridge, n2 + ridge);
        let (y0, y1) = (y0 + first * ridge, y1 + second * ridge);
        let determinant = &n0 * &n2 - n1.square();
        [(&n2 * &y0 - n1 * &y1) / &determinant, (&n0 * &y1 - n1 * &y0) / &determinant]
    }

    /// Returns the leverage of a rating at score `x`: its share in its own prediction.
    pub(super) fn leverage(&self, answer: &Tensor, x: &Tensor) -> Tensor {
        let [n0, n1, n2] = &self.n;
        let (n0, n2) = (n0 + RIDGE, n2 + RIDGE);
        let determinant = &n0 * &n2 - n1.square();
        let pick = |column: &Tensor| column.index_select(0, answer);
        (pick(&n2) - x * pick(n1) * 2.0 + x.square() * pick(&n0)) / pick(&determinant)
    }
}

/// Returns the root mean square errors of ratings, held out and fitted.
fn errors(ratings: &Ratings, (scores, intercept, slope): (&Tensor, &Tensor, &Tensor), sums: &Sums) -> (f64, f64) {
    let x = scores.index_select(0, &ratings.user);
    let at = slope.index_select(0, &ratings.answer);
    let error = &ratings.reward - intercept.index_select(0, &ratings.answer) - &x * &at;
    let by_user = ratings.by_user(&at.square()).index_select(0, &ratings.user) + 1e-9;
    let leverage = sums.leverage(&ratings.answer, &x) + at.square() / by_user;
    root_mean_squares(&error, &leverage)
}

/// Returns the root mean squares of errors, held out and as they are; `leverage` is the share of a rating in its own prediction.
pub(super) fn root_mean_squares(error: &Tensor, leverage: &Tensor) -> (f64, f64) {
    let residual = error.square().mean(Kind::Double).sqrt().double_value(&[]);
    let others: Tensor = 1.0 - leverage;
    let kept = (error / others).masked_select(&leverage.lt(MAX_LEVERAGE));
    if (kept.numel() as f64) < 0.5 * error.numel().max(1) as f64 {
        return (f64::INFINITY, residual);
    }
    (kept.square().mean(Kind::Double).sqrt().double_value(&[]), residual)
}

/// Returns the lowest and the highest score, a few outliers skipped.
pub fn range(scores: &Tensor) -> (f64, f64) {
    let sorted = scores.sort(0, false).0;
    let count = sorted.numel();
    if count == 0 {
        return (0.0, 0.0);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: between 0 and the count")]
    let skipped = (count as f64 * SCORE_TAIL) as usize;
    (sorted.double_value(&[skipped as i64]), sorted.double_value(&[(count - 1 - skipped) as i64]))
}

/// Returns the preference score, 0 or below, at which answers to queries of one task differ least: there effect, which
/// depends on the query, has no weight. `effect` and `cost` are `[queries, llms]`, minus their tasks' means.
pub fn zero_effect_score(effect: &Tensor, cost: &Tensor) -> f64 {
    let centred = |rows: &Tensor| rows - rows.mean_dim(1, true, Kind::Double);
    let (span, cost) = (centred(&(effect - cost)), centred(cost));
    let square = span.square().sum(Kind::Double).double_value(&[]);
    if square <= 1e-12 {
        return 0.0;
    }
    (-(cost * span).sum(Kind::Double).double_value(&[]) / square).clamp(-1.0, 0.0)
}
