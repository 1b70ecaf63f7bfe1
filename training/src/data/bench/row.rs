//! One row of a PersonaRoute-Bench file: which columns there are, and what the row says.

use crate::data::csv::{Record, Records};
use crate::data::error::DataError;
use crate::data::user::{flag, share};
use crate::data::{Interaction, LlmInfo, SignalKind};

/// Columns of a file; those in `Option` may be missing.
pub(super) struct Columns {
    pub(super) user: usize,
    pub(super) task: usize,
    pub(super) query: usize,
    pub(super) query_embedding: Option<usize>,
    pub(super) task_description: Option<usize>,
    pub(super) task_embedding: Option<usize>,
    preference: Option<usize>,
    llm: usize,
    effect: Option<usize>,
    cost: Option<usize>,
    reward: Option<usize>,
    /// The judge variant: 1 where the user liked this answer best.
    best_answer: Option<usize>,
}

/// What one row says of one answer.
pub(super) struct Outcome {
    pub(super) llm: u16,
    pub(super) effect: f32,
    pub(super) cost: f32,
    pub(super) reward: f64,
    /// What preference, effect and cost say the reward is; nothing where a judge decides.
    pub(super) formula: Option<f64>,
    /// A choice where a judge decides, else a rating.
    kind: SignalKind,
}

impl Columns {
    pub(super) fn find(records: &Records) -> Result<Self, DataError> {
        let best_answer = records.optional("best_answer");
        let effect = match best_answer {
            Some(_) => records.optional("effect"),
            None => Some(records.column("effect")?),
        };
        Ok(Self {
            user: records.column("user_id")?,
            task: records.column("task_id")?,
            query: records.column("query")?,
            query_embedding: records.optional("query_embedding"),
            task_description: records.optional("task_description"),
            task_embedding: records.optional("task_description_embedding"),
            preference: records.optional("performance_preference"),
            llm: records.column("llm")?,
            effect,
            cost: records.optional("cost"),
            reward: records.optional("reward"),
            best_answer,
        })
    }

    /// Returns the user's preference: 1 where the file has none, unknown where a judge decides.
    pub(super) fn preference(&self, record: &Record<'_>) -> Result<Option<f64>, DataError> {
        match (self.preference, self.best_answer) {
            (Some(column), _) => share(record, column).map(Some),
            (None, None) => Ok(Some(1.0)),
            (None, Some(_)) => Ok(None),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "invariant: outcomes are single precision in the data set")]
    pub(super) fn outcome(
        &self,
        record: &Record<'_>,
        llms: &[LlmInfo],
        preference: Option<f64>,
    ) -> Result<Outcome, DataError> {
        let number = |column: Option<usize>| column.map(|column| record.number(column)).transpose();
        let name = record.text(self.llm)?;
        let llm = (0_u16..).zip(llms).find(|(_, llm)| llm.id == name).map(|(at, _)| at);
        let llm =
            llm.ok_or_else(|| record.location(Some(self.llm)).error("an LLM of the metadata", format!("`{name}`")))?;
        let best = self.best_answer.map(|column| flag(record, column)).transpose()?;
        let effect = number(self.effect)?.or(best).unwrap_or(0.0);
        let cost = number(self.cost)?.unwrap_or(0.0);
        let formula = preference.filter(|_| best.is_none()).map(|p| p * effect - (1.0 - p) * cost);
        let written = match best {
            Some(best) => Some(best),
            None => number(self.reward)?,
        };
        let reward = written.or(formula).unwrap_or(effect);
        let kind = if best.is_some() { SignalKind::Choice } else { SignalKind::Rating };
        Ok(Outcome { llm, effect: effect as f32, cost: cost as f32, reward, formula, kind })
    }
}

impl Outcome {
    #[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
    pub(super) fn entry(&self, query: u32) -> Interaction {
        Interaction { query, llm: self.llm, value: self.reward as f32, kind: self.kind }
    }
}
