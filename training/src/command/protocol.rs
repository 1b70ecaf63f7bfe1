//! `protocol`: trains and measures by the evaluation protocol, once a seed, and averages.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::experiment::table;
use super::progress::Bar;
use super::{note, print};
use crate::cli::Protocol;
use crate::config::Config;
use crate::config::raw::Encoder;
use crate::data::simulate::{Draw, Users, population};
use crate::data::split::{Ratio, split};
use crate::data::visible::visible;
use crate::data::{Dataset, Setting, encode, outcome};
use crate::eval::metric::Metrics;
use crate::eval::net::Net;
use crate::eval::truth::Truth;
use crate::eval::{Field, Router};
use crate::model::Model;
use crate::report::{self, Row};
use crate::train::hparams::TextEncoder;
use crate::train::{self, Progress, TrainInput};

/// Queries a user of S1000 has seen.
const SEEN: usize = 40;

/// What one seed gave.
struct Seed {
    seed: u64,
    rows: Vec<Row>,
    train_seconds: f64,
}

/// Runs all seeds, prints the means.
pub fn run(args: &Protocol) -> Result<()> {
    let config = configuration(args)?;
    let mut dataset = outcome::read(&args.outcomes, args.cost, &config.families)?;
    if let Some(encoder) = &config.encoder {
        encode::missing(&mut dataset, encoder)?;
    }
    let mut seeds = Vec::new();
    for &seed in &args.seeds {
        seeds.push(one(args, &config, &dataset, seed)?);
    }
    let means = means(&seeds);
    match args.json {
        true => print(&Value::Object(object(args, &config, &dataset, (&seeds, &means))).to_string()),
        false => {
            let title = format!(
                "{}, {}, setting {}, {} feedback",
                dataset.name,
                args.users,
                config.setting.as_str(),
                args.feedback.as_str()
            );
            print(&format!("{title}, mean of seeds {:?}\n\n{}", args.seeds, report::table::markdown(&means)))
        }
    }
}

fn configuration(args: &Protocol) -> Result<Config> {
    let mut config = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::parse(Path::new("the default configuration"), "{}")?,
    };
    if let Some(setting) = args.setting {
        config.setting = Setting::from(setting);
    }
    if args.encoder == Some(Encoder::Embedding) {
        config.hparams.text = TextEncoder::Embedding;
    }
    Ok(config)
}

fn one(args: &Protocol, config: &Config, dataset: &Dataset, seed: u64) -> Result<Seed> {
    let split = split(&dataset.queries, dataset.tasks.len(), Ratio::PROTOCOL, seed);
    let (users, seen) = match args.users.as_str() {
        "s9" => (Users::Nine, None),
        _ => (Users::Uniform(1000), Some(SEEN)),
    };
    let interactions = population(dataset, &split, &users.infos(), Draw { seed, seen, feedback: args.feedback });
    let truth = Truth::Formula { dataset, preferences: users.preferences() };
    let field = Field::new(dataset, &truth, &split, &interactions, seed);
    let started = Instant::now();
    let model = match args.baselines_only {
        true => None,
        false => Some(fit(args, config, &field)?),
    };
    let train_seconds = started.elapsed().as_secs_f64();
    let mut routers: Vec<Net> = Vec::new();
    if let Some(model) = &model {
        routers.push(Net::declared(model, dataset, &interactions.users, &split.test)?);
        routers.push(Net::unknown(model, dataset, &interactions.users, &split.test)?);
    }
    let routers: Vec<&dyn Router> = routers.iter().map(|router| router as &dyn Router).collect();
    let (rows, outcome) = table(&field, &routers, seen.is_some())?;
    if let (Some(file), Some(outcome)) = (&args.choices, outcome) {
        outcome.choices.write(&choices_file(file, seed, args.seeds.len()), dataset)?;
    }
    if !args.quiet && !args.json {
        note(&format!("seed {seed}, trained in {train_seconds:.1} s\n\n{}", report::table::markdown(&rows)));
    }
    Ok(Seed { seed, rows, train_seconds })
}

fn fit(args: &Protocol, config: &Config, field: &Field<'_>) -> Result<Model> {
    let run = tempfile::tempdir().context("a folder for the run")?;
    let shown = visible(field.dataset, config.setting, field.split);
    let mut bar = Bar::new(args.quiet);
    let mut progress = |progress: &Progress| {
        bar.epoch(progress);
        ControlFlow::Continue(())
    };
    train::fit(&mut TrainInput {
        dataset: &shown,
        interactions: field.seen,
        split: field.split,
        setting: config.setting,
        hparams: config.hparams.clone(),
        device: train::device(&args.device)?,
        seed: field.seed,
        run_dir: run.path(),
        initial: config.initial.clone(),
        resume: false,
        progress: &mut progress,
    })
}

/// `choices.csv`, or `choices-1.csv` for seed 1 of several.
fn choices_file(file: &Path, seed: u64, seeds: usize) -> PathBuf {
    if seeds == 1 {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{seed}.{extension}"))
}

fn means(seeds: &[Seed]) -> Vec<Row> {
    let names = seeds.first().map(|seed| seed.rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>());
    let of = |name: &str| {
        let rows = seeds.iter().flat_map(|seed| &seed.rows).filter(|row| row.name == name);
        rows.map(|row| row.metrics).collect::<Vec<_>>()
    };
    let mean = |name: String| Row { metrics: Metrics::mean(&of(&name)), name };
    names.unwrap_or_default().into_iter().map(mean).collect()
}

fn object(
    args: &Protocol,
    config: &Config,
    dataset: &Dataset,
    (seeds, means): (&[Seed], &[Row]),
) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("data".to_owned(), json!(dataset.name));
    object.insert("users".to_owned(), json!(args.users));
    object.insert("setting".to_owned(), json!(config.setting.as_str()));
    object.insert("feedback".to_owned(), json!(args.feedback.as_str()));
    object.insert("cost".to_owned(), json!(args.cost.as_str()));
    object.extend(report::json(means, &config.weights));
    let each = |seed: &Seed| {
        let mut one = Map::new();
        one.insert("seed".to_owned(), json!(seed.seed));
        one.insert("train_seconds".to_owned(), json!(seed.train_seconds));
        one.extend(report::json(&seed.rows, &config.weights));
        Value::Object(one)
    };
    object.insert("seeds".to_owned(), seeds.iter().map(each).collect());
    object
}
