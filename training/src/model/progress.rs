//! How far a training run is.

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Name of the stage, such as `users`.
    pub stage: &'static str,
    /// Steps done.
    pub epoch: usize,
    /// Steps at most.
    pub epochs: usize,
    /// Loss on what the stage is fitted to.
    pub loss: f64,
    /// Validation score of the stage; higher is better.
    pub validation: f64,
}
