//! From a user's ratings to the user's tastes, one belief for each position between cost and quality.
//!
//! The messages of all edges (user, LLM) to one LLM are heard at a grid of shifts `z`, in standard deviations of what the
//! population thinks of the LLM: how likely are the ratings, shifted by so much? Their moments make a Gaussian message
//! from the LLM to the user, as in expectation propagation (Minka 2001); the user's tastes `f ~ N(0, 1)` follow from all
//! LLMs' messages by one small linear system, and how likely all ratings are from that position by its determinant.

use tch::{Device, Kind, Tensor};

/// Shifts, evenly over this many standard deviations to each side.
pub const STEPS: i64 = 21;
/// Standard deviations to each side.
pub const WIDTH: f64 = 3.0;
/// Least variance of an LLM's message: the grid shows nothing narrower.
pub const SHARPEST: f64 = 0.02;

/// What users think of LLMs besides cost and quality.
#[derive(Debug)]
pub struct Tastes {
    /// `[llms, tastes]`: what is added to the utility for one unit of a taste.
    pub loadings: Tensor,
}

/// What all ratings say from each position.
#[derive(Debug)]
pub struct Heard {
    /// `[users, positions]`: logarithm of how likely they are.
    pub evidence: Tensor,
    /// `[users, positions, tastes]`: posterior means.
    pub tastes: Tensor,
}

impl Tastes {
    /// Returns the number of tastes.
    pub fn count(&self) -> i64 {
        self.loadings.size().last().copied().unwrap_or(0)
    }

    /// Returns `[llms]`: standard deviation of what the population thinks of each.
    pub fn deviation(&self) -> Tensor {
        self.loadings.square().sum_dim_intlist(1, false, Kind::Float).sqrt()
    }

    /// Returns `[llms, tastes]`: loadings in units of the LLM's standard deviation.
    pub fn direction(&self) -> Tensor {
        &self.loadings / self.deviation().clamp_min(1e-6).unsqueeze(1)
    }

    /// Returns `[steps]`: shifts in standard deviations.
    pub fn steps() -> Tensor {
        Tensor::linspace(-WIDTH, WIDTH, STEPS, (Kind::Float, Device::Cpu))
    }

    /// Returns `[steps]`: the shifts' logarithmic prior.
    pub fn prior() -> Tensor {
        (Self::steps().square() * -0.5).log_softmax(0, Kind::Float)
    }

    /// Returns the prior's variance; on the grid it is a little below 1.
    pub fn variance() -> f64 {
        (Self::prior().exp() * Self::steps().square()).sum(Kind::Double).double_value(&[])
    }

    /// Hears the LLMs' messages: log-likelihoods `[users, llms, steps, positions]`.
    pub fn hear(&self, told: &Tensor) -> Heard {
        let steps = Self::steps().view([-1, 1]);
        // What is the same from all positions and shifts says nothing, and would cost digits.
        let told = told - told.amax([2, 3].as_slice(), true);
        let logits = told + Self::prior().view([-1, 1]);
        let log = logits.log_softmax(2, Kind::Float);
        let share = log.exp();
        let sum = |table: Tensor| table.sum_dim_intlist(2, false, Kind::Float); // [U, L, G]
        let likely = sum(&share * (&logits - &log));
        let mean = sum(&share * &steps);
        let prior = Self::variance();
        let variance = sum(&share * (steps - mean.unsqueeze(2)).square()).clamp(SHARPEST, prior);
        let precision = variance.reciprocal() - prior.recip();
        let pull = &mean / &variance;
        let (tastes, determinant) = self.solve(&precision.transpose(1, 2), &pull.transpose(1, 2));
        let joint = tastes.matmul(&self.direction().tr()).transpose(1, 2); // [U, L, G]
        // Each message at where all of them put the user, in place of at its best: differences stay small.
        let apart = (&joint - mean).square() / &variance - joint.square() / prior + (&variance / prior).log();
        let evidence = (likely - apart * 0.5).sum_dim_intlist(1, false, Kind::Float); // [U, G]
        let far = tastes.square().sum_dim_intlist(2, false, Kind::Float);
        Heard { evidence: evidence - (far + determinant) * 0.5, tastes }
    }

    /// Joins messages `[users, positions, llms]`: the posterior means, and the logarithm of the precision's determinant,
    /// `[users, positions]`.
    fn solve(&self, precision: &Tensor, pull: &Tensor) -> (Tensor, Tensor) {
        let (count, direction) = (self.count(), self.direction());
        let outer = (direction.unsqueeze(2) * direction.unsqueeze(1)).flatten(1, 2); // [L, K²]
        let (users, places, _) = precision.size3().unwrap_or((0, 0, 0));
        let unit = Tensor::eye(count, (Kind::Float, Device::Cpu));
        let matrix = precision.matmul(&outer).view([users, places, count, count]) + unit;
        let right = pull.matmul(&direction); // [U, G, K]
        let (lower, _) = matrix.linalg_cholesky_ex(false, false);
        let tastes = right.unsqueeze(3).cholesky_solve(&lower, false).squeeze_dim(3);
        let determinant = lower.diagonal(0, 2, 3).log().sum_dim_intlist(2, false, Kind::Float) * 2.0;
        (tastes, determinant)
    }
}
