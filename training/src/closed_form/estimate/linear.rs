//! Alternating least squares on lines: the ratings of one answer, over the places of the users that gave them.

use tch::{Kind, Tensor};

use crate::closed_form::estimate::ratings::Observed;

/// Most rounds of least squares.
const ROUNDS: usize = 30;
/// Change of places that ends the rounds, in standard deviations.
const SETTLED: f64 = 1e-7;
/// Pull of an answer's line to that of its task and LLM, in ratings.
pub(super) const RIDGE: f64 = 1e-3;
/// Share of itself in a prediction above which a rating cannot be masked.
const SELF: f64 = 0.95;
/// Share of users beyond each end, where there are enough to leave some out.
const TAIL: f64 = 0.002;

/// Lines, and how well masked ratings lie on them. Everything in units of the ratings.
#[derive(Debug)]
pub struct Lines {
    /// `[users]`: places, mean 0 and variance 1.
    pub user: Tensor,
    /// `[answers]`: value at place 0.
    pub intercept: Tensor,
    /// `[answers]`: change per unit of place.
    pub slope: Tensor,
    /// `[answers]`: number of ratings.
    pub count: Tensor,
    /// Root mean square of ratings against what the others say; infinite where they say nothing.
    pub masked: f64,
    /// Root mean square of ratings against the lines.
    pub residual: f64,
}

/// Sums over the ratings of answers (or of pairs), for one place of the users.
pub(super) struct Sums {
    pub(super) n: [Tensor; 3],
    pub(super) y: [Tensor; 2],
}

/// Fits lines and places in turns.
pub fn fit(observed: &Observed) -> Lines {
    let mut user = observed.first_guess();
    let one = observed.reward.ones_like();
    let (slots, cells) = (observed.by_slot(&one), observed.by_cell(&one));
    let (slot_reward, cell_reward) = (observed.by_slot(&observed.reward), observed.by_cell(&observed.reward));
    let cell_of_slot = observed.cell_of_slot();
    let mut found = None;
    for _ in 0..ROUNDS {
        let x = user.index_select(0, &observed.user);
        let sums = |by: &dyn Fn(&Tensor) -> Tensor, n: &Tensor, y: &Tensor| Sums {
            n: [n.shallow_clone(), by(&x), by(&x.square())],
            y: [y.shallow_clone(), by(&(&x * &observed.reward))],
        };
        let none = cells.zeros_like();
        let pairs = sums(&|column| observed.by_cell(column), &cells, &cell_reward).line(1e-9, [&none, &none]);
        let [first, second] = pairs.map(|column| column.index_select(0, &cell_of_slot));
        let slots = sums(&|column| observed.by_slot(column), &slots, &slot_reward);
        let [intercept, slope] = slots.line(RIDGE, [&first, &second]);
        let at = slope.index_select(0, &observed.slot);
        let rest = &observed.reward - intercept.index_select(0, &observed.slot);
        let next = observed.by_user(&(rest * &at)) / (observed.by_user(&at.square()) + 1e-9);
        let next = observed.standardised(&next);
        let moved = (&next - &user).abs().max().double_value(&[]);
        user = next;
        found = Some((slots, intercept, slope));
        if moved < SETTLED {
            break;
        }
    }
    let Some((sums, intercept, slope)) = found else {
        return Lines {
            user,
            intercept: slots.zeros_like(),
            slope: slots.zeros_like(),
            count: slots,
            masked: f64::INFINITY,
            residual: 0.0,
        };
    };
    let (masked, residual) = errors(observed, (&user, &intercept, &slope), &sums);
    Lines { user, intercept, slope, count: slots, masked, residual }
}

impl Lines {
    /// Returns the share of rated answers whose ratings could contradict a line: three or more.
    pub fn covered(&self) -> f64 {
        let count = |least: f64| self.count.ge(least).sum(Kind::Double).double_value(&[]);
        count(3.0) / count(1.0).max(1.0)
    }
}

impl Sums {
    /// Intercepts and slopes, pulled to a prior.
    pub(super) fn line(&self, ridge: f64, [first, second]: [&Tensor; 2]) -> [Tensor; 2] {
        let ([n0, n1, n2], [y0, y1]) = (&self.n, &self.y);
        let (n0, n2) = (n0 + ridge, n2 + ridge);
        let (y0, y1) = (y0 + first * ridge, y1 + second * ridge);
        let determinant = &n0 * &n2 - n1.square();
        [(&n2 * &y0 - n1 * &y1) / &determinant, (&n0 * &y1 - n1 * &y0) / &determinant]
    }

    /// Share of a rating at place `x` in its own prediction.
    pub(super) fn leverage(&self, slot: &Tensor, x: &Tensor) -> Tensor {
        let [n0, n1, n2] = &self.n;
        let (n0, n2) = (n0 + RIDGE, n2 + RIDGE);
        let determinant = &n0 * &n2 - n1.square();
        let pick = |column: &Tensor| column.index_select(0, slot);
        (pick(&n2) - x * pick(n1) * 2.0 + x.square() * pick(&n0)) / pick(&determinant)
    }
}

/// Root mean squares of ratings: each masked, and as fitted.
fn errors(observed: &Observed, (user, intercept, slope): (&Tensor, &Tensor, &Tensor), sums: &Sums) -> (f64, f64) {
    let x = user.index_select(0, &observed.user);
    let at = slope.index_select(0, &observed.slot);
    let error = &observed.reward - intercept.index_select(0, &observed.slot) - &x * &at;
    let by_user = observed.by_user(&at.square()).index_select(0, &observed.user) + 1e-9;
    let own = sums.leverage(&observed.slot, &x) + at.square() / by_user;
    root_mean_squares(&error, &own)
}

/// Root mean squares of errors, masked and as they are; `own` is the share of a rating in its own prediction.
pub(super) fn root_mean_squares(error: &Tensor, own: &Tensor) -> (f64, f64) {
    let residual = error.square().mean(Kind::Double).sqrt().double_value(&[]);
    let others: Tensor = 1.0 - own;
    let kept = (error / others).masked_select(&own.lt(SELF));
    if (kept.numel() as f64) < 0.5 * error.numel().max(1) as f64 {
        return (f64::INFINITY, residual);
    }
    (kept.square().mean(Kind::Double).sqrt().double_value(&[]), residual)
}

/// Returns the lowest and the highest place, a few outliers left aside.
pub fn ends(places: &Tensor) -> (f64, f64) {
    let sorted = places.sort(0, false).0;
    let count = sorted.numel();
    if count == 0 {
        return (0.0, 0.0);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: between 0 and the count")]
    let skipped = (count as f64 * TAIL) as usize;
    (sorted.double_value(&[skipped as i64]), sorted.double_value(&[(count - 1 - skipped) as i64]))
}

/// Returns the position, 0 or below, at which what differs between answers of one task is least: where effect, which
/// depends on the query, counts nothing. `high` and `low` are `[queries, llms]`, against their tasks' means.
pub fn cost_end(high: &Tensor, low: &Tensor) -> f64 {
    let centred = |rows: &Tensor| rows - rows.mean_dim(1, true, Kind::Double);
    let (span, low) = (centred(&(high - low)), centred(low));
    let square = span.square().sum(Kind::Double).double_value(&[]);
    if square <= 1e-12 {
        return 0.0;
    }
    (-(low * span).sum(Kind::Double).double_value(&[]) / square).clamp(-1.0, 0.0)
}
