//! Trains the model that the configuration names, and loads trained ones, behind one type.

pub mod device;

use std::ops::Deref;
use std::path::Path;

use anyhow::{Result, bail};

use crate::closed_form::{self, ClosedForm};
use crate::gnn::{self, Gnn};
use crate::model::columns::LlmColumns;
use crate::model::fit::FitInput;
use crate::model::kind::ModelKind;
use crate::model::{Model, store};

/// Why a graph network has no column for an LLM that training has not seen.
pub const NO_NEW_LLMS: &str =
    "the model gnn takes no LLM after training: add it to the data and train again, or use model: closed_form";

/// A trained model of any kind.
#[derive(Debug)]
pub enum Trained {
    /// Estimated in closed form.
    ClosedForm(ClosedForm),
    /// Learned by gradient descent.
    Gnn(Gnn),
}

/// Trains a model of this kind and saves it in the run folder.
pub fn fit(kind: ModelKind, input: &mut FitInput<'_>) -> Result<Trained> {
    input.check()?;
    let trained = match kind {
        ModelKind::ClosedForm => Trained::ClosedForm(closed_form::fit(input)?),
        ModelKind::Gnn => Trained::Gnn(gnn::fit(input)?),
    };
    trained.save(input.run_dir)?;
    Ok(trained)
}

/// Reads the model of a run folder.
pub fn load(run: &Path) -> Result<Trained> {
    let facts = store::load_facts(run)?;
    match facts.model {
        ModelKind::ClosedForm => Ok(Trained::ClosedForm(ClosedForm::load(run, facts)?)),
        ModelKind::Gnn => Ok(Trained::Gnn(Gnn::load(run, facts)?)),
    }
}

impl Trained {
    /// Returns the model over other LLMs, for users whose embeddings are known.
    pub fn with_llms(&self, llms: LlmColumns<'_>) -> Result<Self> {
        match self {
            Self::ClosedForm(model) => Ok(Self::ClosedForm(closed_form::add_llms::with_llms(model, llms)?)),
            Self::Gnn(_) => bail!(NO_NEW_LLMS),
        }
    }

    /// Returns the model over other LLMs, whose adapter also reads ratings of the new ones.
    pub fn with_llms_and_adapter(&self, llms: LlmColumns<'_>) -> Result<Self> {
        match self {
            Self::ClosedForm(model) => Ok(Self::ClosedForm(closed_form::add_llms::with_llms_and_adapter(model, llms)?)),
            Self::Gnn(_) => bail!(NO_NEW_LLMS),
        }
    }
}

impl Deref for Trained {
    type Target = dyn Model;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::ClosedForm(model) => model,
            Self::Gnn(model) => model,
        }
    }
}
