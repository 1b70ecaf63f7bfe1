//! `evaluate`: the same table from a run, and from an exported bundle through everything that serves it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::experiment::{Experiment, table};
use super::run::Info;
use super::train::run_of;
use super::{print, vote};
use crate::cli::Evaluate;
use crate::config::Config;
use crate::data::source::Source;
use crate::eval::Outcome;
use crate::eval::bundle::{self, Bundle};
use crate::eval::model_router::ModelRouter;
use crate::model::Router;
use crate::report::{self, Row};
use crate::train;

/// Measures, prints, and writes what was asked for.
pub fn run(args: &Evaluate) -> Result<()> {
    if args.bundle.is_none() {
        let (folder, config) = chosen(args)?;
        if let Some(Source::Votes(votes)) = &config.source {
            return vote::evaluate(votes, &config, &folder, args.json);
        }
    }
    let Measured { experiment, rows, outcome, weights, what } = match &args.bundle {
        Some(folder) => from_bundle(args, folder)?,
        None => from_run(args)?,
    };
    if let (Some(file), Some(outcome)) = (&args.choices, &outcome) {
        outcome.choices.write(file, &experiment.loaded.dataset)?;
    }
    let data = &experiment.loaded.dataset;
    let title = format!("{}, {} users, {what}", data.name, experiment.users().len());
    if let Some(folder) = &args.report {
        report::write(folder, &title, &rows, &weights)?;
    }
    match args.json {
        true => print(&Value::Object(object(&experiment, &rows, &weights)).to_string()),
        false => print(&format!("{title}\n\n{}", report::table::markdown(&rows))),
    }
}

/// A table and what it is about.
struct Measured {
    experiment: Experiment,
    rows: Vec<Row>,
    outcome: Option<Outcome>,
    weights: BTreeMap<String, f64>,
    what: String,
}

fn from_run(args: &Evaluate) -> Result<Measured> {
    let (folder, config) = chosen(args)?;
    let model = train::load(&folder)?;
    let experiment = opened(args, &config)?;
    let truth = experiment.truth();
    let field = experiment.eval_set(&truth);
    let (dataset, users, test) = (field.dataset, experiment.users(), &field.split.test);
    let declared = ModelRouter::declared(&*model, dataset, users, test)?;
    let unknown = ModelRouter::unknown(&*model, dataset, users, test)?;
    let (rows, outcome) = table(&field, &[&declared, &unknown], experiment.sparse())?;
    drop(field);
    drop(truth);
    Ok(Measured { experiment, rows, outcome, weights: config.weights, what: format!("run {}", folder.display()) })
}

fn from_bundle(args: &Evaluate, folder: &Path) -> Result<Measured> {
    let mut config = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::parse(Path::new("the default configuration"), "{}")?,
    };
    let data = args.data.as_deref().context("--bundle needs --data")?;
    config.source = Some(Source::recognise(data)?);
    let experiment = opened(args, &config)?;
    let host = bundle::open(folder, args.plugin.clone(), config.encoder)?;
    let truth = experiment.truth();
    let field = experiment.eval_set(&truth);
    let declared = Bundle::declared(&host, field.dataset, experiment.users())?;
    let unknown = Bundle::unknown(&host, field.dataset, experiment.users())?;
    let routers: [&dyn Router; 2] = [&declared, &unknown];
    let (rows, outcome) = table(&field, &routers, experiment.sparse())?;
    drop(field);
    drop(truth);
    Ok(Measured { experiment, rows, outcome, weights: config.weights, what: format!("bundle {}", folder.display()) })
}

/// Reads the data, measured by the hidden utilities of the world that was asked for.
fn opened(args: &Evaluate, config: &Config) -> Result<Experiment> {
    let mut experiment = Experiment::open(config)?;
    if args.world.is_some() || args.key.is_some() {
        experiment.set_world(args.world, args.key)?;
    }
    Ok(experiment)
}

/// Returns the run and the configuration that says where its data is.
fn chosen(args: &Evaluate) -> Result<(PathBuf, Config)> {
    let (folder, mut config) = match (&args.run, &args.config) {
        (Some(run), _) => (run.clone(), Info::read(run)?.1),
        (None, Some(file)) => {
            let config = Config::read(file)?;
            (run_of(&config), config)
        }
        (None, None) => anyhow::bail!("--config or --run is needed"),
    };
    if let Some(data) = &args.data {
        config.source = Some(Source::recognise(data)?);
    }
    Ok((folder, config))
}

fn object(experiment: &Experiment, rows: &[Row], weights: &BTreeMap<String, f64>) -> Map<String, Value> {
    let loaded = &experiment.loaded;
    let mut object = Map::new();
    object.insert("data".to_owned(), json!(loaded.dataset.name));
    object.insert("fingerprint".to_owned(), json!(loaded.dataset.fingerprint));
    object.insert("users".to_owned(), json!(experiment.users().len()));
    object.insert("test_queries".to_owned(), json!(loaded.split.test.len()));
    object.insert("seed".to_owned(), json!(loaded.seed));
    object.extend(report::json(rows, weights));
    object
}
