//! Components of users who differ in more than their position: what is known of answers, then tastes, in turns.

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::{Components, Tastes};
use crate::closed_form::estimate::covariance::{self, Answers};
use crate::closed_form::estimate::factor::analysis::{Evidence, Found};
use crate::closed_form::estimate::factor::{learn, settle};
use crate::closed_form::estimate::posterior::Belief;
use crate::closed_form::estimate::ratings::Observed;

/// Turns of answers and tastes.
const TURNS: usize = 4;
/// Turns in which the axis between cost and quality is sought anew among all tastes.
const SOUGHT: usize = 2;
/// Least standard deviation of an error, in units of the ratings.
const SHARPEST: f64 = 0.01;
/// Least position, as a share of the largest.
const LEAST: f64 = 0.02;
/// Mean change of positions below which the cost end stays where it is.
const MOVED: f64 = 0.03;
/// Pull of each taste to having nothing to do with the axis, as a share of all evidence.
const PULL: f64 = 1e-3;

/// Adds tastes to components whose answers are as good as known, where the ratings bear any out.
pub fn add(observed: &Observed, components: &mut Components) {
    let evidence = of_components(observed, components);
    let Some(found) = learn(observed, &evidence) else { return };
    let shift = found.shift.to_device(Device::Cpu);
    components.positions = (&components.positions + shift).clamp(0.0, 1.0);
    let found = settle(observed, &of_components(observed, components), &found);
    components.tastes = Some(in_rewards(observed, &found));
}

/// Finds positions, answers and tastes in turns, from positions and answers as they are without tastes.
pub fn fit(observed: &Observed, belief: Belief, answers: Answers) -> (Belief, Answers, Option<Tastes>) {
    let (belief, answers) = calibrated(observed, belief, answers);
    let of = |at: &Belief, answers: &Answers, known: &Tensor| Told::of(observed, &at.position, answers, known);
    let mut known = observed.reward.zeros_like();
    let told = of(&belief, &answers, &known);
    let Some(mut found) = learn(observed, &told.evidence) else { return (belief, answers, None) };
    let mut kept = (belief, answers);
    for turn in 0..TURNS {
        let (at, answers) = &kept;
        let shifted = (&at.position + &found.shift).unsqueeze(1);
        // The axis is sought among all tastes at first; what was found for another axis is then no longer known.
        let sought = turn < SOUGHT;
        let among = if sought { Tensor::cat(&[&shifted, &found.coordinates], 1) } else { shifted };
        known = found.of_ratings(observed);
        let position = of(at, answers, &known).axis(observed, &among);
        if sought {
            known = known.zeros_like();
        }
        let at = Belief { position, noise: at.noise };
        let answers = covariance::fit(&observed.without(&known), &at, true);
        let Some(next) = learn(observed, &of(&at, &answers, &known).evidence) else {
            return (at, answers, None);
        };
        (found, kept) = (next, (at, answers));
    }
    let (at, answers) = kept;
    let found = settle(observed, &of(&at, &answers, &known).evidence, &found);
    (at, answers, Some(in_rewards(observed, &found)))
}

/// Moves the cost end to where effects vanish: noise lets ratings stray there as well, which belief takes for effect.
fn calibrated(observed: &Observed, belief: Belief, answers: Answers) -> (Belief, Answers) {
    let told = Told::of(observed, &belief.position, &answers, &observed.reward.zeros_like());
    let position = told.axis(observed, &belief.position.unsqueeze(1));
    let moved = (&position - &belief.position).abs().mean(Kind::Double).double_value(&[]);
    if moved < MOVED {
        return (belief, answers);
    }
    let belief = Belief { position, noise: belief.noise };
    let answers = covariance::fit(observed, &belief, true);
    (belief, answers)
}

fn in_rewards(observed: &Observed, found: &Found) -> Tastes {
    Tastes {
        loadings: found.loadings.to_device(Device::Cpu) * observed.unit,
        coordinates: found.coordinates.to_device(Device::Cpu),
    }
}

/// Evidence against answers that are known.
fn of_components(observed: &Observed, components: &Components) -> Evidence {
    let flat =
        |rows: &Tensor| (rows / observed.unit).to_device(observed.device()).view([-1]).index_select(0, &observed.slot);
    let (high, low) = (flat(&components.high), flat(&components.low));
    let position = components.positions.to_device(observed.device()).index_select(0, &observed.user);
    let slope = high - &low;
    let error = &observed.reward - low - position * &slope;
    let noise = (components.noise / observed.unit).max(SHARPEST);
    let weight = Tensor::full_like(&error, noise.powi(-2));
    Evidence { slope, error, weight }
}

/// Ratings against what the *other* raters of answers know about them.
struct Told {
    evidence: Evidence,
    /// `[ratings]`: posterior means, without the rating, of what is special about answers.
    special: Tensor,
    /// `[ratings]`: rating minus everything known but what is special about the answer.
    rest: Tensor,
}

impl Told {
    /// Of ratings from which `known` was taken when answers were estimated.
    fn of(observed: &Observed, position: &Tensor, answers: &Answers, known: &Tensor) -> Self {
        let position = position.index_select(0, &observed.user);
        let noise = answers.noise * answers.noise;
        let cell = |table: &Tensor| table.view([-1]).index_select(0, &observed.cell);
        let slot = |rows: &Tensor| rows.view([-1]).index_select(0, &observed.slot);
        let (high, low) = (cell(&answers.high), cell(&answers.low));
        let away: Tensor = 1.0 - &position;
        let error = &observed.reward - &position * &high - away * &low;
        let rest = &error - known;
        let (mean, variance) = (slot(&answers.deviation), slot(&answers.variance).clamp_min(1e-9));
        let own = position.square() / noise;
        let others = (variance.reciprocal() - own).clamp_min(1e-3);
        let special = (mean / variance - &position * &rest / noise) / &others;
        let doubt = position.square() / others + noise.max(SHARPEST.powi(2));
        let error = error - position * &special;
        let evidence = Evidence { slope: high + &special - low, error, weight: doubt.reciprocal() };
        Self { evidence, special, rest }
    }

    /// Returns positions along the direction among `[users, directions]` in which users hear what is special about
    /// answers: effects are special, costs and tastes are not. Its zero is where nothing special is heard.
    fn axis(&self, observed: &Observed, among: &Tensor) -> Tensor {
        let weighted = &self.evidence.weight * &self.special;
        let square = observed.by_user(&(&weighted * &self.special));
        let pull = observed.by_user(&(&weighted * &self.rest));
        let known = Tensor::cat(&[&among.select(1, 0).ones_like().unsqueeze(1), among], 1); // [U, 1 + D]
        let matrix = known.tr().matmul(&(&known * square.unsqueeze(1)));
        let count = known.size().last().copied().unwrap_or(1);
        let ridge = Tensor::full([count], PULL, (Kind::Double, known.device()));
        let _ = ridge.narrow(0, 0, 2).fill_(1e-9);
        let ridge = ridge * (square.sum(Kind::Double) + 1e-9);
        let matrix = matrix + ridge.diag_embed(0, -2, -1);
        let solution = Tensor::linalg_solve_ex(&matrix, &known.tr().mv(&pull).unsqueeze(1), true, false).0;
        let raw = known.matmul(&solution).squeeze_dim(1);
        let largest = raw.max().double_value(&[]);
        if largest.is_nan() || largest <= 1e-9 {
            return among.select(1, 0).clamp(LEAST, 1.0);
        }
        (raw / largest).clamp(LEAST, 1.0)
    }
}
