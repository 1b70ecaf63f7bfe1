//! The LLMs of a model to be made from a trained one: known and new ones.

use std::path::Path;

use personaroute_bundle::catalog::Llm;

use crate::data::Interactions;

/// One LLM.
#[derive(Debug, Clone)]
pub enum LlmColumn {
    /// LLM of the trained model, by its column.
    Trained(usize),
    /// LLM that training has not seen.
    New(Llm),
}

/// All LLMs, and what users rated of the new ones' answers.
#[derive(Debug, Clone, Copy)]
pub struct LlmColumns<'a> {
    /// Folder of the run that trained the model.
    pub run: &'a Path,
    /// LLMs in their new order.
    pub columns: &'a [LlmColumn],
    /// Ratings by the training users, in their order; an entry's LLM is a place among `columns`. Only ratings of new LLMs
    /// on training queries are read.
    pub ratings: &'a Interactions,
}
