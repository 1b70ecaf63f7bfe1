//! `export --add-llm`: LLMs that training has not seen enter a bundle, from their price and from what was rated of them.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::experiment::Experiment;
use super::note;
use crate::config::Config;
use crate::data::{Dataset, Interaction, Interactions, LlmInfo, UserInfo, llm, user};
use crate::model::columns::{LlmColumn, LlmColumns};
use crate::model::facts::{self, Facts};
use crate::train::Trained;

/// Returns the run's model with the LLMs of the metadata file behind its own; `ratings` are of the run's users.
pub fn add(model: &Trained, run: &Path, config: &Config, (file, ratings): (&Path, Option<&Path>)) -> Result<Trained> {
    let added = llm::read(file, &[])?;
    let known = &model.facts().llms;
    if let Some(twice) = added.iter().find(|new| known.iter().any(|known| known.id == new.id)) {
        bail!("{}: the run knows the LLM `{}` already", file.display(), twice.id);
    }
    let ratings = match ratings {
        Some(ratings) => behind(rated(model.facts(), config, (&added, ratings))?, known.len()),
        None => Interactions::default(),
    };
    let trained = (0..known.len()).map(LlmColumn::Trained);
    let columns: Vec<LlmColumn> = trained.chain(added.iter().map(|llm| LlmColumn::New(facts::llm(llm)))).collect();
    model.with_llms_and_adapter(LlmColumns { run, columns: &columns, ratings: &ratings })
}

/// Counts the LLMs of ratings from behind the trained ones.
fn behind(ratings: Interactions, known: usize) -> Interactions {
    let moved = |entry: Interaction| Interaction {
        llm: entry.llm.saturating_add(u16::try_from(known).unwrap_or(u16::MAX)),
        ..entry
    };
    Interactions { entries: ratings.entries.into_iter().map(moved).collect(), ..ratings }
}

/// Reads what the run's users rated of the added LLMs, and says which ratings cannot be used.
fn rated(facts: &Facts, config: &Config, (added, file): (&[LlmInfo], &Path)) -> Result<Interactions> {
    let experiment = Experiment::open(config)?;
    let users = facts.users.iter().map(|(id, _)| UserInfo { id: id.clone(), preference: None }).collect();
    let trained: HashSet<u32> = experiment.seen.entries.iter().map(|entry| entry.query).collect();
    let dataset = Dataset { llms: added.to_vec(), ..experiment.loaded.dataset };
    let ratings = user::read_interactions(file, &dataset, users)?;
    let unknown = ratings.entries.iter().filter(|entry| !trained.contains(&entry.query)).count();
    if unknown > 0 {
        note(&format!("warning: {}: {unknown} ratings are of queries that training has not seen", file.display()));
    }
    Ok(ratings)
}
