//! `train`: data in, a run folder with the model and its report out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::experiment::{Experiment, table};
use super::progress::Bar;
use super::run::Info;
use super::{note, print, vote};
use crate::cli::Train;
use crate::config::Config;
use crate::data::source::Source;
use crate::data::visible::visible;
use crate::eval::model_router::ModelRouter;
use crate::model::fit::{FitInput, Progress};
use crate::model::{Model, store};
use crate::report;
use crate::train::{self, device::device};

/// Most users whose choices a run's report is made of: means over more move by less than their last digit, and take as
/// long as the training. `evaluate` measures all.
const REPORTED: usize = 10_000;

/// A run about to begin or to go on.
struct Plan {
    info: Info,
    config: Config,
    folder: PathBuf,
    resume: bool,
}

/// Trains, measures on the test split, writes the report.
pub fn run(args: Train) -> Result<()> {
    let plan = match args.resume {
        Some(folder) => resumed(folder)?,
        None => begun(&args)?,
    };
    if let Some(Source::Votes(folder)) = &plan.config.source {
        return vote::train(folder, (&plan.info, &plan.config), &plan.folder, args.quiet);
    }
    let device = device(&plan.info.device)?;
    if let Some(said) = plan.config.without_effect() {
        note(&format!("note: {said}"));
    }
    let experiment = Experiment::open(&plan.config)?;
    if !args.quiet {
        note(&experiment.summary());
    }
    let shown = visible(&experiment.loaded.dataset, plan.config.setting, &experiment.loaded.split);
    let mut bar = Bar::new(args.quiet);
    let started = Instant::now();
    let mut progress = |progress: &Progress| {
        bar.epoch(progress);
        if !args.quiet && progress.epoch == progress.epochs {
            note(&format!("{} estimated after {:.1} s", progress.stage, started.elapsed().as_secs_f64()));
        }
        ControlFlow::Continue(())
    };
    let model = train::fit(
        plan.config.model,
        &mut FitInput {
            dataset: &shown,
            interactions: &experiment.seen,
            split: &experiment.loaded.split,
            setting: plan.config.setting,
            hparams: plan.config.hparams.clone(),
            device,
            seed: plan.info.seed,
            run_dir: &plan.folder,
            initial: plan.config.initial.clone(),
            resume: plan.resume,
            progress: &mut progress,
        },
    )?;
    drop(bar);
    if let Some(file) = &plan.config.save {
        store::copy_tensors(&plan.folder, file)?;
    }
    let rows = measure(&experiment, &*model)?;
    report::write(&plan.folder.join("report"), &title(&experiment, &plan), &rows, &plan.config.weights)?;
    if !args.quiet {
        note(&report::table::markdown(&rows));
    }
    print(&plan.folder.display().to_string())
}

fn begun(args: &Train) -> Result<Plan> {
    let (text, mut config) = match &args.config {
        Some(file) => {
            let config = Config::read(file)?;
            (std::fs::read_to_string(file).with_context(|| file.display().to_string())?, config)
        }
        None => ("{}\n".to_owned(), Config::parse(Path::new("the default configuration"), "{}")?),
    };
    if let Some(data) = &args.data {
        config.source = Some(Source::recognise(data)?);
    }
    if let Some(model) = args.model {
        config.model = model;
    }
    let info = Info::now(config.seed, args.data.as_deref(), &args.device)?;
    let folder = args.run.clone().or_else(|| config.run.clone()).unwrap_or_else(|| default_folder(&config));
    info.write(&folder, &text)?;
    Ok(Plan { info, config, folder, resume: false })
}

fn resumed(folder: PathBuf) -> Result<Plan> {
    let (info, mut config) = Info::read(&folder)?;
    config.save = config.save.map(|file| info.folder.join(file));
    Ok(Plan { info, config, folder, resume: true })
}

/// Returns the folder of the run that a configuration means: that of `load_model_path`, else its own.
pub fn run_of(config: &Config) -> PathBuf {
    config.load.clone().or_else(|| config.run.clone()).unwrap_or_else(|| default_folder(config))
}

/// Returns `runs/<data>-<seed>`.
fn default_folder(config: &Config) -> PathBuf {
    let path = match &config.source {
        Some(Source::Outcomes(folder) | Source::Votes(folder)) => Some(folder.as_path()),
        Some(Source::Bench(bench)) => bench.files.first().map(PathBuf::as_path),
        None => None,
    };
    let name = path.and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    Path::new("runs").join(format!("{}-{}", name.unwrap_or_else(|| "run".to_owned()), config.seed))
}

fn measure(experiment: &Experiment, model: &dyn Model) -> Result<Vec<report::Row>> {
    let truth = experiment.truth();
    let field = experiment.eval_set(&truth).at_most(REPORTED);
    let (dataset, users, test) = (field.dataset, experiment.users(), &field.split.test);
    let declared = ModelRouter::declared(model, dataset, users, test)?;
    let unknown = ModelRouter::unknown(model, dataset, users, test)?;
    Ok(table(&field, &[&declared, &unknown], experiment.sparse())?.0)
}

fn title(experiment: &Experiment, plan: &Plan) -> String {
    let data = &experiment.loaded.dataset;
    let users = experiment.users().len();
    let measured = if users > REPORTED { format!(" ({REPORTED} of them measured)") } else { String::new() };
    format!(
        "{}, {users} users{measured}, setting {}, split seed {}",
        data.name,
        plan.config.setting.as_str(),
        experiment.loaded.seed
    )
}
