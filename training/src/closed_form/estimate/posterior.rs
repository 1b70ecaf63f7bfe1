//! Belief propagation between users and answers that few users rated.
//!
//! A rating is `a + s·b + π·A + noise`: the line of its task and LLM at the user's place `s`, and what is special about
//! the answer, `A`, which counts the more the further the user stands from the cost end (`π`). A user's place follows
//! from all of its ratings, each weighted by how surely the answer's other raters know `A`.

use tch::{Kind, Tensor};

use crate::closed_form::estimate::ratings::Observed;

/// Rounds on lines of pairs alone.
const ROUNDS: usize = 40;
/// Rounds of belief propagation.
const REFINEMENTS: usize = 25;
/// Least standard deviation of a rating's noise, in units of the ratings.
pub const NOISE: f64 = 0.08;
/// Pull of a pair's slope to its LLM's, in ratings at one standard deviation.
const SLOPE_PULL: f64 = 2.0;
/// Least position, as a share of the largest.
const LEAST: f64 = 0.02;

/// Where users stand.
#[derive(Debug)]
pub struct Belief {
    /// `[users]`: 0 where nothing but the task decides about an answer, 1 for the furthest user.
    pub position: Tensor,
    /// Variance of the ratings' noise, in squared units.
    pub noise: f64,
}

/// Lines of pairs of task and LLM.
struct Pairs {
    intercept: Tensor,
    slope: Tensor,
}

/// Finds all places; without `propagate`, users hear from pairs alone.
pub fn fit(observed: &Observed, propagate: bool) -> Belief {
    let mut place = observed.first_guess();
    for _ in 0..ROUNDS {
        place = by_pairs(observed, &place);
    }
    let mut noise = NOISE * NOISE;
    let mut positions = None;
    for _ in 0..REFINEMENTS {
        let spread = Spread::of(observed, &place);
        positions = Some(spread.position.shallow_clone());
        if !propagate {
            break;
        }
        (place, noise) = spread.refine(observed, noise);
    }
    let position = positions.unwrap_or_else(|| place.ones_like());
    Belief { position, noise }
}

/// One round of least squares without anything special about answers.
fn by_pairs(observed: &Observed, place: &Tensor) -> Tensor {
    let pairs = Pairs::fit(observed, place);
    let error = pairs.error(observed, place);
    let count = observed.by_cell(&error.ones_like()).clamp_min(1.0);
    let variance = observed.by_cell(&error.square()) / count + 1e-3;
    let weight = variance.reciprocal().index_select(0, &observed.cell);
    let slope = pairs.slope.index_select(0, &observed.cell);
    let rest = &observed.reward - pairs.intercept.index_select(0, &observed.cell);
    let pull = observed.by_user(&(&weight * rest * &slope));
    observed.standardised(&(pull / (observed.by_user(&(weight * slope.square())) + 1.0)))
}

impl Pairs {
    /// Fits lines; the slope of a pair with few ratings leans on its LLM's.
    fn fit(observed: &Observed, place: &Tensor) -> Self {
        let x = place.index_select(0, &observed.user);
        let n0 = observed.by_cell(&x.ones_like()) + 1e-9;
        let (n1, n2) = (observed.by_cell(&x), observed.by_cell(&x.square()));
        let (y0, y1) = (observed.by_cell(&observed.reward), observed.by_cell(&(&x * &observed.reward)));
        let determinant = (&n0 * &n2 - n1.square()).clamp_min(0.0);
        let slope = (&n0 * &y1 - &n1 * &y0) / determinant.clamp_min(1e-6);
        let rows = |column: &Tensor| column.view([observed.task_count, observed.llms]);
        let share = rows(&determinant.clamp_min(1e-9));
        let of_llm = (rows(&slope) * &share).sum_dim_intlist(0, true, Kind::Double)
            / share.sum_dim_intlist(0, true, Kind::Double);
        let of_llm = of_llm.expand([observed.task_count, observed.llms], false).reshape([-1]);
        let known = determinant / &n0;
        let slope = (&known * slope + of_llm * SLOPE_PULL) / (known + SLOPE_PULL);
        Self { intercept: (y0 - &slope * n1) / n0, slope }
    }

    fn error(&self, observed: &Observed, place: &Tensor) -> Tensor {
        let pick = |column: &Tensor| column.index_select(0, &observed.cell);
        &observed.reward - pick(&self.intercept) - place.index_select(0, &observed.user) * pick(&self.slope)
    }
}

/// How far ratings stray from the lines, as a function of the user's place: what turns places into positions.
struct Spread {
    pairs: Pairs,
    error: Tensor,
    position: Tensor,
    /// Position at place 0, and its change per unit of place.
    line: [f64; 2],
}

impl Spread {
    fn of(observed: &Observed, place: &Tensor) -> Self {
        let pairs = Pairs::fit(observed, place);
        let error = pairs.error(observed, place);
        let x = place.index_select(0, &observed.user);
        let stray = error.abs();
        let mean = |column: &Tensor| column.mean(Kind::Double).double_value(&[]);
        let (mean_x, mean_stray) = (mean(&x), mean(&stray));
        let variance = mean(&x.square()) - mean_x * mean_x;
        let slope = if variance > 1e-12 { (mean(&(&x * &stray)) - mean_x * mean_stray) / variance } else { 0.0 };
        let raw = place * slope + (mean_stray - mean_x * slope);
        let largest = raw.max().double_value(&[]).max(1e-12);
        let position = (&raw / largest).clamp_min(LEAST);
        Self { pairs, error, position, line: [(mean_stray - mean_x * slope) / largest, slope / largest] }
    }

    /// Hears from every answer what its other raters know about it, and returns the places and the noise that follow.
    fn refine(&self, observed: &Observed, noise: f64) -> (Tensor, f64) {
        let position = self.position.index_select(0, &observed.user);
        let square = position.square();
        let prior = observed.by_cell(&self.error.square()) / observed.by_cell(&square).clamp_min(1e-6);
        let prior = prior.clamp_min(1e-2).index_select(0, &observed.cell);
        let (told, sure) = (&position * &self.error / noise, &square / noise);
        let heard = observed.by_slot(&told).index_select(0, &observed.slot) - &told;
        let surety = observed.by_slot(&sure).index_select(0, &observed.slot) - &sure;
        let variance = (prior.reciprocal() + surety).reciprocal();
        let special = &variance * heard;
        let pick = |column: &Tensor| column.index_select(0, &observed.cell);
        let [zero, gain] = self.line;
        let rest = &observed.reward - pick(&self.pairs.intercept) - &special * zero;
        let slope = pick(&self.pairs.slope) + &special * gain;
        let doubt = &square * &variance;
        let weight = (&doubt + noise).reciprocal();
        let pull = observed.by_user(&(&weight * rest * &slope));
        let next = observed.standardised(&(pull / (observed.by_user(&(weight * slope.square())) + 1e-3)));
        (next, self.noise(&special, &position, &doubt))
    }

    /// Noise is what strays near the cost end, beyond what answers explain.
    fn noise(&self, special: &Tensor, position: &Tensor, doubt: &Tensor) -> f64 {
        let near: Tensor = 1.0 - position;
        let near = near.clamp_min(0.0).square();
        let beyond = (&self.error - special * position).square() - doubt;
        let total = near.sum(Kind::Double).double_value(&[]).max(1e-9);
        let found = (beyond * near).sum(Kind::Double).double_value(&[]) / total;
        found.max(NOISE * NOISE)
    }
}
