//! `protocol`: trains and measures by the evaluation protocol, once a seed, and averages.

mod extra;
mod gain;
mod summary;
mod unseen;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::experiment::table;
use super::progress::Bar;
use super::{note, print};
use crate::cli::Protocol;
use crate::config::Config;
use crate::config::raw::Encoder;
use crate::data::noise::disturb;
use crate::data::simulate::{Draw, Users, population};
use crate::data::split::{Ratio, split};
use crate::data::visible::visible;
use crate::data::world::WorldKind;
use crate::data::{Dataset, Interactions, Setting, Split, encode, outcome, vote};
use crate::eval::EvalSet;
use crate::eval::ground_truth::GroundTruth;
use crate::eval::model_router::ModelRouter;
use crate::graph::query::TextEncoder;
use crate::model::Router;
use crate::model::fit::{FitInput, Progress};
use crate::model::kind::ModelKind;
use crate::report;
use crate::train::{self, Trained, device::device};

use summary::{SeedResult, Summary};

/// Queries a user of S1000 has seen.
const SEEN: usize = 40;

/// What all seeds share.
struct ProtocolRun<'a> {
    args: &'a Protocol,
    config: Config,
    dataset: Dataset,
}

/// A trained model, and the folder of its run while it is needed.
struct Fit {
    model: Trained,
    run: TempDir,
}

/// Runs all seeds, prints the means.
pub fn run(args: &Protocol) -> Result<()> {
    let config = configuration(args)?;
    if vote::is_votes(&args.outcomes) {
        if let Some(flag) = args.of_outcomes_only() {
            bail!("{flag} has no meaning for votes, and {} holds votes: leave it out", args.outcomes.display());
        }
        return super::vote::protocol(args, &config);
    }
    check(args)?;
    if args.new_llms && config.model == ModelKind::Gnn {
        bail!("--new-llms: {}, with --model closed_form", train::NO_NEW_LLMS);
    }
    // A device that is not there is refused before anything is read.
    device(&args.device)?;
    if let Some(said) = config.without_effect().filter(|_| !args.baselines_only) {
        note(&format!("note: {said}"));
    }
    let mut dataset = outcome::read(&args.outcomes, args.cost(), &config.families)?;
    if let Some(encoder) = &config.encoder {
        encode::missing(&mut dataset, encoder)?;
    }
    let run = ProtocolRun { args, config, dataset };
    let seeds = args.seeds().iter().map(|&seed| run.seed(seed)).collect::<Result<Vec<_>>>()?;
    let summary = Summary { args, setting: run.config.setting, data: &run.dataset.name, weights: &run.config.weights };
    match args.json {
        true => print(&summary.json(&seeds)),
        false => print(&summary.text(&seeds)),
    }
}

/// Refuses options that have no meaning in the world asked for.
fn check(args: &Protocol) -> Result<()> {
    args.world().check(args.feedback())?;
    users(args).0.check(args.world(), args.key())?;
    if args.world() == WorldKind::Line {
        return Ok(());
    }
    let line_only =
        [("--noise", args.noise > 0.0), ("--new-llms", args.new_llms), ("--unseen-tasks", args.unseen_tasks)];
    match line_only.iter().find(|(_, given)| *given) {
        Some((flag, _)) => bail!("{flag} is defined for world line only, found world {}", args.world().as_str()),
        None => Ok(()),
    }
}

/// Returns the population, and how many training queries each user has seen.
fn users(args: &Protocol) -> (Users, Option<usize>) {
    match args.users() {
        "s9" => (Users::Nine, None),
        _ => (Users::Uniform(1000), Some(SEEN)),
    }
}

fn configuration(args: &Protocol) -> Result<Config> {
    let mut config = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::parse(Path::new("the default configuration"), "{}")?,
    };
    if let Some(model) = args.model {
        config.model = model;
    }
    if let Some(setting) = args.setting {
        config.setting = Setting::from(setting);
    }
    if args.encoder == Some(Encoder::Embedding) {
        config.hparams.text = TextEncoder::Embedding;
    }
    Ok(config)
}

impl ProtocolRun<'_> {
    fn seed(&self, seed: u64) -> Result<SeedResult> {
        let (args, dataset) = (self.args, &self.dataset);
        let split = split(&dataset.queries, dataset.tasks.len(), Ratio::PROTOCOL, seed);
        let (users, seen) = users(args);
        let world = users.world(dataset, args.world(), args.key())?;
        let draw = Draw { seen, ..self.draw(seed) };
        let interactions = self.disturbed(population(dataset, &split, &world, draw), dataset, seed);
        let truth = GroundTruth::Simulated { dataset, world: world.clone() };
        let set = EvalSet::new(dataset, &truth, &split, &interactions, seed);
        let started = Instant::now();
        let model = match args.baselines_only {
            true => None,
            false => Some(self.fit((&split, seed), dataset, &interactions)?.model),
        };
        let train_seconds = started.elapsed().as_secs_f64();
        let mut models: Vec<ModelRouter<'_>> = Vec::new();
        if let Some(model) = &model {
            models.push(ModelRouter::declared(&**model, dataset, &interactions.users, &split.test)?);
            models.push(ModelRouter::unknown(&**model, dataset, &interactions.users, &split.test)?);
        }
        let routers: Vec<&dyn Router> = models.iter().map(|router| router as &dyn Router).collect();
        let (rows, outcome) = table(&set, &routers, seen.is_some())?;
        if let (Some(file), Some(outcome)) = (&args.choices, outcome) {
            outcome.choices.write(&choices_file(file, seed, args.seeds().len()), dataset)?;
        }
        if !args.quiet && !args.json {
            note(&format!("seed {seed}, trained in {train_seconds:.1} s\n\n{}", report::table::markdown(&rows)));
        }
        let mut result = SeedResult { seed, rows, train_seconds, ..SeedResult::default() };
        if args.held_out {
            (result.held_out, result.coverage) = self.held_out(&set, &world, model.as_ref())?;
        }
        if let Some(model) = &model {
            result.draws = if args.new_llms { self.new_llms(&set, model)? } else { Vec::new() };
            result.new_llms = gain::means(&result.draws);
        }
        if args.unseen_tasks {
            result.left_out = self.unseen_tasks(&split, &world, draw)?;
            result.unseen_tasks = unseen::means(&result.left_out);
        }
        Ok(result)
    }

    fn draw(&self, seed: u64) -> Draw {
        Draw { seed, seen: Some(SEEN), feedback: self.args.feedback() }
    }

    /// Adds the noise that was asked for to rewards that users have seen; what is measured stays as it is.
    fn disturbed(&self, mut seen: Interactions, dataset: &Dataset, seed: u64) -> Interactions {
        if self.args.noise > 0.0 {
            disturb(&mut seen, dataset, (seed, self.args.noise));
        }
        seen
    }

    /// Trains on some interactions with the queries of `dataset`, whose split is `split`; of the outcomes training sees
    /// what the setting allows.
    fn fit(&self, (split, seed): (&Split, u64), dataset: &Dataset, interactions: &Interactions) -> Result<Fit> {
        let run = tempfile::tempdir().context("a folder for the run")?;
        let shown = visible(dataset, self.config.setting, split);
        let mut bar = Bar::new(self.args.quiet);
        let mut progress = |progress: &Progress| {
            bar.epoch(progress);
            ControlFlow::Continue(())
        };
        let model = train::fit(
            self.config.model,
            &mut FitInput {
                dataset: &shown,
                interactions,
                split,
                setting: self.config.setting,
                hparams: self.config.hparams.clone(),
                device: device(&self.args.device)?,
                seed,
                run_dir: run.path(),
                initial: self.config.initial.clone(),
                resume: false,
                progress: &mut progress,
            },
        )?;
        Ok(Fit { model, run })
    }
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
