//! Trains the model that the configuration names, and loads trained ones, behind one type.

pub mod device;

use std::ops::Deref;
use std::path::Path;

use anyhow::Result;

use crate::closed_form::{self, ClosedForm};
use crate::model::columns::LlmColumns;
use crate::model::fit::FitInput;
use crate::model::kind::ModelKind;
use crate::model::{Model, store};

/// A trained model of any kind.
#[derive(Debug)]
pub enum Trained {
    /// Estimated in closed form.
    ClosedForm(ClosedForm),
}

/// Trains a model of this kind and saves it in the run folder.
pub fn fit(kind: ModelKind, input: &mut FitInput<'_>) -> Result<Trained> {
    input.check()?;
    let trained = match kind {
        ModelKind::ClosedForm => Trained::ClosedForm(closed_form::fit(input)?),
    };
    trained.save(input.run_dir)?;
    Ok(trained)
}

/// Reads the model of a run folder.
pub fn load(run: &Path) -> Result<Trained> {
    let facts = store::load_facts(run)?;
    match facts.model {
        ModelKind::ClosedForm => Ok(Trained::ClosedForm(ClosedForm::load(run, facts)?)),
    }
}

impl Trained {
    /// Returns the model over other LLMs, for users whose embeddings are known.
    pub fn with_llms(&self, llms: LlmColumns<'_>) -> Result<Self> {
        match self {
            Self::ClosedForm(model) => Ok(Self::ClosedForm(closed_form::add_llms::with_llms(model, llms)?)),
        }
    }

    /// Returns the model over other LLMs, whose adapter also reads ratings of the new ones.
    pub fn with_llms_and_adapter(&self, llms: LlmColumns<'_>) -> Result<Self> {
        match self {
            Self::ClosedForm(model) => Ok(Self::ClosedForm(closed_form::add_llms::with_llms_and_adapter(model, llms)?)),
        }
    }
}

impl Deref for Trained {
    type Target = dyn Model;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::ClosedForm(model) => model,
        }
    }
}
