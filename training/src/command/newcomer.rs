//! `export --add-llm`: LLMs that training has not seen enter a bundle, from their price and from what was rated of them.

use std::path::Path;

use anyhow::{Result, bail};

use super::experiment::Experiment;
use super::note;
use crate::config::Config;
use crate::data::{Dataset, Interactions, LlmInfo, UserInfo, llm, user};
use crate::model::Model;
use crate::model::column::{Column, NewColumn};
use crate::train::adapter::{self, on_axis};
use crate::train::components::Components;
use crate::train::newcomer::{Newcomer, Peers, extended, heard, log_price};

/// Returns the run's model with the LLMs of the metadata file behind its own; `ratings` are of the run's users.
pub fn add(model: &Model, run: &Path, config: &Config, (file, ratings): (&Path, Option<&Path>)) -> Result<Model> {
    let added = llm::read(file, &[])?;
    if let Some(twice) = added.iter().find(|new| model.facts.llms.iter().any(|known| known.id == new.id)) {
        bail!("{}: the run knows the LLM `{}` already", file.display(), twice.id);
    }
    let components = Components::of_run(run)?;
    let seen = match ratings {
        Some(ratings) => rated(model, &components, config, (&added, ratings))?,
        None => Interactions::default(),
    };
    let price = |llm: &LlmInfo| log_price(llm.input_price, llm.output_price);
    let prices: Vec<f64> = model.facts.llms.iter().map(|llm| log_price(llm.input_price, llm.output_price)).collect();
    let peers = Peers::new(&components, &prices)?;
    let heard = heard(&components, &seen, added.len(), |_| true);
    let found: Vec<Newcomer> = added.iter().zip(&heard).map(|(llm, heard)| peers.estimate(price(llm), heard)).collect();
    let known = (0..model.llms()).map(Column::Known);
    let new = added.iter().zip(&found).map(|(llm, found)| {
        let Newcomer { high, low, deviation, .. } = found.clone();
        Column::New(NewColumn { llm: crate::train::llm(llm), high, low, deviation })
    });
    let mut whole = model.with_columns(&known.chain(new).collect::<Vec<_>>())?;
    let origin = model.users.mean_dim(0, false, tch::Kind::Float);
    whole.adapter =
        adapter::fit(&extended(&components, &found), |places| on_axis(places, &origin, &whole.weights, &whole.axis));
    Ok(whole)
}

/// Reads what the run's users rated of the added LLMs, and says which ratings cannot be used.
fn rated(
    model: &Model,
    components: &Components,
    config: &Config,
    (added, file): (&[LlmInfo], &Path),
) -> Result<Interactions> {
    let experiment = Experiment::open(config)?;
    let users = model.facts.users.iter().map(|(id, _)| UserInfo { id: id.clone(), preference: None }).collect();
    let dataset = Dataset { llms: added.to_vec(), ..experiment.loaded.dataset };
    let seen = user::read_interactions(file, &dataset, users)?;
    let unknown = seen.entries.iter().filter(|entry| components.queries.binary_search(&entry.query).is_err()).count();
    if unknown > 0 {
        note(&format!("warning: {}: {unknown} ratings are of queries that training has not seen", file.display()));
    }
    Ok(seen)
}
