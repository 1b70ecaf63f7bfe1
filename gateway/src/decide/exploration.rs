//! The exploration of a virtual model, as configured.

/// The exploration of a virtual model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploration {
    /// How the LLM is chosen.
    pub by: Explore,
    /// Most expected utility that one request gives up.
    pub max_regret: f32,
    /// The least predicted effect of an explored LLM.
    pub min_effect: Option<f32>,
}

/// How an LLM is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explore {
    /// Thompson sampling: each utility is drawn from its predicted normal distribution, and the highest wins.
    Thompson,
    /// The highest upper confidence bound wins.
    Ucb,
}

impl Explore {
    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thompson => "thompson",
            Self::Ucb => "ucb",
        }
    }
}
