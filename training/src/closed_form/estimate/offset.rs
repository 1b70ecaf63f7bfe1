//! Linear fits where users have opinions of LLMs besides: an offset for each (user, LLM) pair is estimated with them.
//!
//! A rating is `intercept + score · slope + offset`. The offset absorbs whatever a user says of all answers of an LLM, so the
//! preference score follows from how ratings vary *within* the LLMs: with the answers' effect, whose weight grows with the
//! score.

use tch::{Kind, Tensor};

use super::linear::{LinearFit, Sums, root_mean_squares};
use super::ratings::Ratings;
use crate::closed_form::constants::{OFFSET_ROUNDS, OFFSET_TOLERANCE, OFFSET_TRIAL, RIDGE};

/// Alternates between lines, scores and offsets, starting from the scores of linear fits alone. Offsets keep only what is
/// uncorrelated with the scores: their mean and their slope over scores belong to the lines.
pub fn fit(ratings: &Ratings, start: &LinearFit) -> LinearFit {
    let mut scores = start.scores.shallow_clone();
    let one = ratings.reward.ones_like();
    let user_llm = ratings.user_llm();
    let known = ratings.by_user_llm(&one);
    let mut offset = known.zeros_like();
    let mut found = None;
    for round in 0..OFFSET_ROUNDS {
        let x = scores.index_select(0, &ratings.user);
        let rest = &ratings.reward - offset.view([-1]).index_select(0, &user_llm);
        let (sums, intercept, slope) = lines(ratings, &rest, &x);
        let at = slope.index_select(0, &ratings.answer);
        let own = &ratings.reward - intercept.index_select(0, &ratings.answer);
        let (slopes, owns) = (ratings.by_user_llm(&at), ratings.by_user_llm(&own));
        let penalised = &known + RIDGE;
        let sum = |table: &Tensor| table.sum_dim_intlist(1, false, Kind::Double);
        let pull = ratings.by_user(&(&own * &at)) - sum(&(&slopes * &owns / &penalised));
        let square = ratings.by_user(&at.square()) - sum(&(slopes.square() / &penalised));
        let next = pull / (&square + 1e-9);
        offset = (owns - &slopes * next.unsqueeze(1)) / penalised;
        let error = || own - at * next.index_select(0, &ratings.user) - offset.view([-1]).index_select(0, &user_llm);
        let poor =
            round == OFFSET_TRIAL.0 && error().square().mean(Kind::Double).sqrt().double_value(&[]) > OFFSET_TRIAL.1;
        let next = ratings.standardised(&next);
        offset = unexplained(&offset, &next, &known);
        let moved = (&next - &scores).abs().max().double_value(&[]);
        scores = next;
        found = Some((sums, intercept, slope, square));
        if moved < OFFSET_TOLERANCE || poor {
            break;
        }
    }
    let Some((sums, intercept, slope, square)) = found else {
        return LinearFit {
            scores,
            intercept: start.intercept.shallow_clone(),
            slope: start.slope.shallow_clone(),
            count: start.count.shallow_clone(),
            held_out: f64::INFINITY,
            residual: start.residual,
        };
    };
    let x = scores.index_select(0, &ratings.user);
    let at = slope.index_select(0, &ratings.answer);
    let fitted = intercept.index_select(0, &ratings.answer) + &x * &at + offset.view([-1]).index_select(0, &user_llm);
    let error = &ratings.reward - fitted;
    let known = known.view([-1]).index_select(0, &user_llm);
    let leverage = sums.leverage(&ratings.answer, &x)
        + at.square() / (square.index_select(0, &ratings.user) + 1e-9)
        + known.reciprocal();
    let (held_out, residual) = root_mean_squares(&error, &leverage);
    let [count, ..] = sums.n;
    LinearFit { scores, intercept, slope, count, held_out, residual }
}

/// Returns the lines of `rest` over scores `x`; those of answers are shrunk to those of their pairs.
fn lines(ratings: &Ratings, rest: &Tensor, x: &Tensor) -> (Sums, Tensor, Tensor) {
    let sums = |by: &dyn Fn(&Tensor) -> Tensor| Sums {
        n: [by(&x.ones_like()), by(x), by(&x.square())],
        y: [by(rest), by(&(x * rest))],
    };
    let pairs = sums(&|column| ratings.by_pair(column));
    let none = pairs.y[0].zeros_like();
    let of_answer = ratings.pair_of_answer();
    let [first, second] = pairs.line(1e-9, [&none, &none]).map(|column| column.index_select(0, &of_answer));
    let answers = sums(&|column| ratings.by_answer(column));
    let [intercept, slope] = answers.line(RIDGE, [&first, &second]);
    (answers, intercept, slope)
}

/// Returns offsets `[users, llms]` minus their regression on scores, by LLM over the users who rated it.
fn unexplained(offset: &Tensor, scores: &Tensor, known: &Tensor) -> Tensor {
    let seen = known.gt(0.0).to_kind(Kind::Double);
    let x = scores.unsqueeze(1);
    let sum = |table: Tensor| table.sum_dim_intlist(0, true, Kind::Double); // [1, L]
    let sums = Sums {
        n: [sum(seen.shallow_clone()), sum(&seen * &x), sum(&seen * x.square())],
        y: [sum(&seen * offset), sum(&seen * offset * &x)],
    };
    let none = sums.y[0].zeros_like();
    let [first, second] = sums.line(1e-6, [&none, &none]);
    (offset - first - x * second) * seen
}
