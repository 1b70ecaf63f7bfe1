//! Exploration: sometimes another LLM than the best one answers, so that more is learned of the user.

use super::{Exploration, Explore, Plan, Ranked};

/// How many standard deviations an upper confidence bound lies above the expected utility.
const WIDTH: f64 = 1.0;

/// Points of the integral of a propensity, and how many standard deviations it spans on both sides.
const POINTS: u32 = 96;
const SPAN: f64 = 6.0;

/// A distribution of a utility.
#[derive(Debug, Clone, Copy)]
struct Utility {
    mean: f64,
    deviation: f64,
}

impl Exploration {
    /// Moves the LLM that is explored to the front of `plan`; `draw` returns standard normal numbers.
    pub fn apply(&self, plan: &mut Plan, mut draw: impl FnMut() -> f64) {
        let mut best: Option<(usize, f64)> = None;
        for (place, utility) in self.allowed(&plan.ranking) {
            let value = match self.by {
                Explore::Thompson => utility.mean + utility.deviation * draw(),
                Explore::Ucb => utility.mean + utility.deviation * WIDTH,
            };
            if best.is_none_or(|(_, highest)| value > highest) {
                best = Some((place, value));
            }
        }
        let Some((place, _)) = best else { return };
        plan.explored = Some(self.by);
        if place == 0 {
            return;
        }
        if let Some(ranks) = plan.ranking.get_mut(..=place) {
            ranks.rotate_right(1);
        }
        let llm = plan.ranking.first().map(|ranked| ranked.llm.clone()).unwrap_or_default();
        plan.why = format!("{llm} is explored ({}); {}", self.by.as_str(), plan.why);
    }

    /// Returns the probability with which `llm` is put first among `ranking`, in any order.
    pub fn propensity(&self, ranking: &[Ranked], llm: &str) -> f32 {
        let allowed = self.allowed(ranking);
        let named = |place: usize| ranking.get(place).is_some_and(|ranked| *ranked.llm == *llm);
        let Some((_, own)) = allowed.iter().find(|(place, _)| named(*place)) else { return 0.0 };
        let others: Vec<Utility> =
            allowed.iter().filter(|(place, _)| !named(*place)).map(|(_, utility)| *utility).collect();
        let probability = match self.by {
            Explore::Thompson => first_of_draws(*own, &others),
            Explore::Ucb => {
                let bound = |utility: &Utility| utility.mean + utility.deviation * WIDTH;
                f64::from(u8::from(others.iter().all(|other| bound(other) <= bound(own))))
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "a probability, rounded once")]
        let rounded = probability.clamp(0.0, 1.0) as f32;
        rounded
    }

    /// Returns the LLMs that may be explored, with their places: the best one is always among them.
    fn allowed(&self, ranking: &[Ranked]) -> Vec<(usize, Utility)> {
        let score =
            |ranked: &Ranked| ranked.score.as_ref().map(|score| (score.utility, score.effect, score.uncertainty));
        let best = ranking.iter().filter_map(score).map(|(utility, ..)| utility).fold(f32::NEG_INFINITY, f32::max);
        let mut allowed = Vec::with_capacity(ranking.len());
        for (place, ranked) in ranking.iter().enumerate() {
            let Some((utility, effect, uncertainty)) = score(ranked) else { continue };
            let is_good = self.min_effect.is_none_or(|least| effect >= least) && best - utility <= self.max_regret;
            if is_good || utility >= best {
                let (mean, deviation) = (f64::from(utility), f64::from(uncertainty));
                allowed.push((place, Utility { mean, deviation }));
            }
        }
        allowed
    }
}

/// Returns the probability that a draw of `own` is above a draw of each of `others`: the integral of its density times
/// their distribution functions, by the midpoint rule.
fn first_of_draws(own: Utility, others: &[Utility]) -> f64 {
    if own.deviation <= 0.0 {
        return others.iter().map(|other| below(*other, own.mean)).product();
    }
    let step = 2.0 * SPAN / f64::from(POINTS);
    let weight = |z: f64| (-0.5 * z * z).exp();
    let (mut sum, mut total) = (0.0, 0.0);
    for point in 0..POINTS {
        let z = -SPAN + (f64::from(point) + 0.5) * step;
        let value = own.mean + own.deviation * z;
        sum += weight(z) * others.iter().map(|other| below(*other, value)).product::<f64>();
        total += weight(z);
    }
    sum / total
}

/// Returns the probability that a draw of `utility` is below `value`.
fn below(utility: Utility, value: f64) -> f64 {
    if utility.deviation <= 0.0 {
        return f64::from(u8::from(utility.mean <= value));
    }
    normal_below((value - utility.mean) / utility.deviation)
}

/// Returns the standard normal distribution function, to 1e-7 (Abramowitz and Stegun, formula 7.1.26).
fn normal_below(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = polynomial * (-x * x).exp() / 2.0;
    if z >= 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests;
