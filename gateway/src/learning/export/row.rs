//! The rows of an interaction: one for each LLM that it is about.

use super::Interaction;
use crate::{
    api::feedback::Said,
    learning::{Origin, Signal},
};

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) user: &'a str,
    pub(super) signal: &'a Signal,
    pub(super) llm: &'a str,
    /// `rating`, `choice` or `outcome`.
    pub(super) kind: &'static str,
    /// A rating from 0 to 1, or 1 for the best of the answers that share a decision and 0 for the others.
    pub(super) value: Option<f32>,
    pub(super) effect: Option<f32>,
    pub(super) cost: Option<f32>,
}

impl<'a> Row<'a> {
    /// Returns what the answer was about.
    pub(super) fn origin(&self) -> &'a Origin {
        &self.signal.origin
    }

    /// Returns the propensity, if this LLM was the one that was chosen.
    pub(super) fn propensity(&self) -> Option<f32> {
        self.origin().propensity.filter(|_| self.llm == self.origin().llm)
    }
}

/// Returns the rows of `interaction`.
pub(super) fn rows(interaction: &Interaction) -> Vec<Row<'_>> {
    let Interaction { user, signal } = interaction;
    let row = |llm, kind, value| Row { user, signal, llm, kind, value, effect: None, cost: None };
    match &signal.said {
        Said::Rating { llm, rating } => llm.iter().map(|llm| row(llm.as_str(), "rating", Some(*rating))).collect(),
        Said::Thumbs { llm, up } => {
            llm.iter().map(|llm| row(llm.as_str(), "rating", Some(f32::from(u8::from(*up))))).collect()
        }
        Said::Best { best, shown } => {
            let value = |llm: &String| Some(f32::from(u8::from(llm == best)));
            shown.iter().map(|llm| row(llm.as_str(), "choice", value(llm))).collect()
        }
        Said::Pair { better, worse } => {
            vec![row(better.as_str(), "choice", Some(1.0)), row(worse.as_str(), "choice", Some(0.0))]
        }
        Said::Outcome { llm, effect, cost } => {
            let (effect, cost) = (Some(*effect), Some(*cost));
            llm.iter().map(|llm| Row { effect, cost, ..row(llm.as_str(), "outcome", None) }).collect()
        }
    }
}
