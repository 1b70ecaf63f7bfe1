//! The out-of-distribution gate: whether a text is like those of any known task.

use tch::Tensor;

/// A logistic function of a text's likeness to the task whose texts it resembles most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutOfDistributionGate {
    /// Likeness at which the probability of a known task is one half.
    pub threshold: f64,
    /// Slope of the logit.
    pub sharpness: f64,
}

impl OutOfDistributionGate {
    /// Assigns every text to a known task.
    pub const OPEN: Self = Self { threshold: -1e4, sharpness: 1.0 };

    /// Returns the probability that the task is a known one, `[queries, 1]`, from the likeness to each task
    /// `[queries, tasks]`.
    pub fn in_distribution(&self, likeness: &Tensor) -> Tensor {
        ((likeness.amax([1].as_slice(), true) - self.threshold) * self.sharpness).sigmoid()
    }
}
