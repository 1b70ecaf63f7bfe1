//! Lines of ratings where users have opinions of LLMs besides: offsets of user and LLM are taken out as unknowns.
//!
//! A rating is `a + s·b + o`, with a line for each answer, a place for each user, and an offset for each pair of user and
//! LLM. An offset takes whatever a user says about all answers of an LLM, so that a place follows from how ratings vary
//! *within* the LLMs: with the answers' quality, which counts the more the further the user stands from the cost end.

use tch::{Kind, Tensor};

use crate::closed_form::estimate::linear::{Lines, RIDGE, Sums, root_mean_squares};
use crate::closed_form::estimate::ratings::Observed;

/// Most rounds of least squares.
const ROUNDS: usize = 100;
/// Change of places that ends the rounds, in standard deviations.
const SETTLED: f64 = 1e-6;
/// Rounds after which lines must fit at least so well, in standard deviations of rewards, to be worth going on.
const TRIED: (usize, f64) = (12, 0.15);
/// Pull of an offset to nothing, in ratings.
const PULL: f64 = 1e-3;

/// Fits lines, places and offsets in turns, from the places of lines alone. Of the offsets only what has nothing to do
/// with places remains: their mean and their slope over places belong to the lines.
pub fn fit(observed: &Observed, start: &Lines) -> Lines {
    let mut user = start.user.shallow_clone();
    let one = observed.reward.ones_like();
    let place = observed.user_llm();
    let known = observed.by_user_llm(&one);
    let mut offset = known.zeros_like();
    let mut found = None;
    for round in 0..ROUNDS {
        let x = user.index_select(0, &observed.user);
        let rest = &observed.reward - offset.view([-1]).index_select(0, &place);
        let (sums, intercept, slope) = lines(observed, &rest, &x);
        let at = slope.index_select(0, &observed.slot);
        let own = &observed.reward - intercept.index_select(0, &observed.slot);
        let (slopes, owns) = (observed.by_user_llm(&at), observed.by_user_llm(&own));
        let pulled = &known + PULL;
        let sum = |table: &Tensor| table.sum_dim_intlist(1, false, Kind::Double);
        let pull = observed.by_user(&(&own * &at)) - sum(&(&slopes * &owns / &pulled));
        let square = observed.by_user(&at.square()) - sum(&(slopes.square() / &pulled));
        let next = pull / (&square + 1e-9);
        offset = (owns - &slopes * next.unsqueeze(1)) / pulled;
        let left = || own - at * next.index_select(0, &observed.user) - offset.view([-1]).index_select(0, &place);
        let hopeless = round == TRIED.0 && left().square().mean(Kind::Double).sqrt().double_value(&[]) > TRIED.1;
        let next = observed.standardised(&next);
        offset = unexplained(&offset, &next, &known);
        let moved = (&next - &user).abs().max().double_value(&[]);
        user = next;
        found = Some((sums, intercept, slope, square));
        if moved < SETTLED || hopeless {
            break;
        }
    }
    let Some((sums, intercept, slope, square)) = found else {
        return Lines {
            user,
            intercept: start.intercept.shallow_clone(),
            slope: start.slope.shallow_clone(),
            count: start.count.shallow_clone(),
            masked: f64::INFINITY,
            residual: start.residual,
        };
    };
    let x = user.index_select(0, &observed.user);
    let at = slope.index_select(0, &observed.slot);
    let fitted = intercept.index_select(0, &observed.slot) + &x * &at + offset.view([-1]).index_select(0, &place);
    let error = &observed.reward - fitted;
    let known = known.view([-1]).index_select(0, &place);
    let own = sums.leverage(&observed.slot, &x)
        + at.square() / (square.index_select(0, &observed.user) + 1e-9)
        + known.reciprocal();
    let (masked, residual) = root_mean_squares(&error, &own);
    let [count, ..] = sums.n;
    Lines { user, intercept, slope, count, masked, residual }
}

/// Returns the lines of `rest` over `x`, those of answers leaning on those of their pairs.
fn lines(observed: &Observed, rest: &Tensor, x: &Tensor) -> (Sums, Tensor, Tensor) {
    let sums = |by: &dyn Fn(&Tensor) -> Tensor| Sums {
        n: [by(&x.ones_like()), by(x), by(&x.square())],
        y: [by(rest), by(&(x * rest))],
    };
    let pairs = sums(&|column| observed.by_cell(column));
    let none = pairs.y[0].zeros_like();
    let of_slot = observed.cell_of_slot();
    let [first, second] = pairs.line(1e-9, [&none, &none]).map(|column| column.index_select(0, &of_slot));
    let slots = sums(&|column| observed.by_slot(column));
    let [intercept, slope] = slots.line(RIDGE, [&first, &second]);
    (slots, intercept, slope)
}

/// Returns offsets `[users, llms]` without their regression on places, by LLM over the users who rated it.
fn unexplained(offset: &Tensor, place: &Tensor, known: &Tensor) -> Tensor {
    let seen = known.gt(0.0).to_kind(Kind::Double);
    let x = place.unsqueeze(1);
    let sum = |table: Tensor| table.sum_dim_intlist(0, true, Kind::Double); // [1, L]
    let sums = Sums {
        n: [sum(seen.shallow_clone()), sum(&seen * &x), sum(&seen * x.square())],
        y: [sum(&seen * offset), sum(&seen * offset * &x)],
    };
    let none = sums.y[0].zeros_like();
    let [first, second] = sums.line(1e-6, [&none, &none]);
    (offset - first - x * second) * seen
}
