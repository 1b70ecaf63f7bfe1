//! The posterior of a user's factors from its ratings, at every point of the score grid.
//!
//! A user's offset of an LLM, `loading · factors`, has a normal prior. The likelihood of the user's ratings of that LLM is
//! evaluated on a grid of offsets, in prior standard deviations, and its moments are kept as a Gaussian (as in expectation
//! propagation, Minka 2001). The factors `~ N(0, 1)` follow from the Gaussians of all LLMs by one small linear system, and the
//! likelihood of all ratings at that score by its determinant.

use tch::{Device, Kind, Tensor};

use crate::closed_form::constants::{MIN_OFFSET_VARIANCE, OFFSET_STEPS, OFFSET_WIDTH};

/// How factors change the utility of each LLM.
#[derive(Debug)]
pub struct Loadings {
    /// `[llms, factors]`: what is added to the utility per unit of a factor.
    pub table: Tensor,
}

/// What all ratings of a user say, at every point of the score grid.
#[derive(Debug)]
pub struct FactorPosterior {
    /// `[users, grid]`: log-likelihood of the ratings.
    pub evidence: Tensor,
    /// `[users, grid, factors]`: posterior means.
    pub factors: Tensor,
}

impl Loadings {
    /// Returns the number of factors.
    pub fn count(&self) -> i64 {
        self.table.size().last().copied().unwrap_or(0)
    }

    /// Returns `[llms]`: standard deviation of users' offsets of each LLM.
    pub fn deviation(&self) -> Tensor {
        self.table.square().sum_dim_intlist(1, false, Kind::Float).sqrt()
    }

    /// Returns `[llms, factors]`: loadings in units of the LLM's standard deviation.
    pub fn direction(&self) -> Tensor {
        &self.table / self.deviation().clamp_min(1e-6).unsqueeze(1)
    }

    /// Returns `[steps]`: the grid of offsets, in standard deviations.
    pub fn grid() -> Tensor {
        Tensor::linspace(-OFFSET_WIDTH, OFFSET_WIDTH, OFFSET_STEPS, (Kind::Float, Device::Cpu))
    }

    /// Returns `[steps]`: the log-prior of the offsets.
    pub fn prior() -> Tensor {
        (Self::grid().square() * -0.5).log_softmax(0, Kind::Float)
    }

    /// Returns the prior's variance; on the grid it is a little below 1.
    pub fn variance() -> f64 {
        (Self::prior().exp() * Self::grid().square()).sum(Kind::Double).double_value(&[])
    }

    /// Returns the posterior for the log-likelihoods `[users, llms, steps, grid]` of each LLM's ratings.
    pub fn posterior(&self, likelihoods: &Tensor) -> FactorPosterior {
        let offsets = Self::grid().view([-1, 1]);
        // A constant changes nothing, and would cost digits.
        let likelihoods = likelihoods - likelihoods.amax([2, 3].as_slice(), true);
        let logits = likelihoods + Self::prior().view([-1, 1]);
        let log = logits.log_softmax(2, Kind::Float);
        let probability = log.exp();
        let sum = |table: Tensor| table.sum_dim_intlist(2, false, Kind::Float); // [U, L, G]
        let evidence = sum(&probability * (&logits - &log));
        let mean = sum(&probability * &offsets);
        let prior = Self::variance();
        let variance = sum(&probability * (offsets - mean.unsqueeze(2)).square()).clamp(MIN_OFFSET_VARIANCE, prior);
        let precision = variance.reciprocal() - prior.recip();
        let pull = &mean / &variance;
        let (factors, determinant) = self.solve(&precision.transpose(1, 2), &pull.transpose(1, 2));
        let joint = factors.matmul(&self.direction().tr()).transpose(1, 2); // [U, L, G]
        // Each Gaussian is evaluated at the joint mean instead of its own: differences stay small.
        let apart = (&joint - mean).square() / &variance - joint.square() / prior + (&variance / prior).log();
        let evidence = (evidence - apart * 0.5).sum_dim_intlist(1, false, Kind::Float); // [U, G]
        let norm = factors.square().sum_dim_intlist(2, false, Kind::Float);
        FactorPosterior { evidence: evidence - (norm + determinant) * 0.5, factors }
    }

    /// Combines the Gaussians `[users, grid, llms]` of all LLMs: returns the posterior means, and the log-determinant of the
    /// precision, `[users, grid]`.
    fn solve(&self, precision: &Tensor, pull: &Tensor) -> (Tensor, Tensor) {
        let (count, direction) = (self.count(), self.direction());
        let outer = (direction.unsqueeze(2) * direction.unsqueeze(1)).flatten(1, 2); // [L, K²]
        let (users, grid, _) = precision.size3().unwrap_or((0, 0, 0));
        let unit = Tensor::eye(count, (Kind::Float, Device::Cpu));
        let matrix = precision.matmul(&outer).view([users, grid, count, count]) + unit;
        let right = pull.matmul(&direction); // [U, G, K]
        let (lower, _) = matrix.linalg_cholesky_ex(false, false);
        let factors = right.unsqueeze(3).cholesky_solve(&lower, false).squeeze_dim(3);
        let determinant = lower.diagonal(0, 2, 3).log().sum_dim_intlist(2, false, Kind::Float) * 2.0;
        (factors, determinant)
    }
}
