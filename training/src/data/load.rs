//! One door to all layouts: what to read, and everything an experiment needs from it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::outcome::{self, Cost};
use super::split::{Ratio, split};
use super::world::file::WorldId;
use super::{Dataset, Interactions, Split, bench, encode, open, user, vote};

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An outcomes folder with users and interactions.
    Outcomes(PathBuf),
    /// PersonaRoute-Bench files.
    Bench(Bench),
    /// A folder of votes.
    Votes(PathBuf),
}

/// PersonaRoute-Bench files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bench {
    /// One file or folder with everything, or the files of train, validation and test.
    pub files: Vec<PathBuf>,
    /// LLM metadata.
    pub llms: PathBuf,
    /// LLM embeddings.
    pub embeddings: Option<PathBuf>,
}

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which cost column of an outcomes folder counts.
    pub cost: Cost,
    /// Name parts of LLMs that belong together.
    pub families: Vec<String>,
    /// Shares of the split where the data brings none.
    pub ratio: Ratio,
    /// Seed of the split where the data brings none.
    pub seed: u64,
    /// Text-embedding model for embeddings the data lacks.
    pub encoder: Option<PathBuf>,
}

/// An experiment's data.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Outcomes, texts, embeddings.
    pub dataset: Dataset,
    /// All rated answers, those of test queries included where the data has them.
    pub interactions: Interactions,
    /// Train, validation and test queries.
    pub split: Split,
    /// Seed of the split.
    pub seed: u64,
    /// Whether preferences, effects and costs explain every reward, so that every reward can be computed.
    pub explained: bool,
    /// The world that simulated users were drawn from, where the data names one.
    pub world: Option<WorldId>,
    /// What a reader should know, one sentence each.
    pub warnings: Vec<String>,
}

impl Source {
    /// Recognises the layout of a folder, or of a single CSV file.
    pub fn recognise(path: &Path) -> Result<Self> {
        // A folder of votes has queries too: what sets it apart comes first.
        if vote::is_votes(path) {
            return Ok(Self::Votes(path.to_owned()));
        }
        if open::find(path, "queries.csv").is_some() {
            return Ok(Self::Outcomes(path.to_owned()));
        }
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let llms = bench::metadata(folder).with_context(|| {
            format!("{}: neither an outcomes folder nor PersonaRoute-Bench files nor votes", path.display())
        })?;
        let embeddings = bench::embeddings(folder);
        Ok(Self::Bench(Bench { files: vec![path.to_owned()], llms, embeddings }))
    }
}

impl Loaded {
    /// Returns the interactions on training queries: what a router may learn from.
    pub fn training(&self) -> Interactions {
        let mut kept = vec![false; self.dataset.queries.len()];
        for &query in &self.split.train {
            if let Some(flag) = kept.get_mut(query as usize) {
                *flag = true;
            }
        }
        self.interactions.restricted(&kept)
    }
}

/// Reads everything.
pub fn load(source: &Source, options: &Options) -> Result<Loaded> {
    let mut loaded = match source {
        Source::Outcomes(folder) => outcomes(folder, options)?,
        Source::Bench(files) => bench::read(files, options)?,
        Source::Votes(folder) => bail!("{}: has votes, not ratings of single answers", folder.display()),
    };
    if let Some(encoder) = &options.encoder {
        encode::missing(&mut loaded.dataset, encoder)?;
    }
    if loaded.split.test.is_empty() || loaded.split.train.is_empty() {
        loaded.warnings.push("some part of the split is empty: there are too few queries a task".to_owned());
    }
    Ok(loaded)
}

fn outcomes(folder: &Path, options: &Options) -> Result<Loaded> {
    let dataset = outcome::read(folder, options.cost, &options.families)?;
    if open::find(folder, user::USERS).is_none() {
        bail!(
            "{}: has outcomes but no users: `personaroute-train simulate --outcomes {}` makes some",
            folder.display(),
            folder.display()
        );
    }
    let interactions = user::read(folder, &dataset)?;
    let (split, seed) = match user::read_split(folder, &dataset)? {
        Some(found) => found,
        None => (split(&dataset.queries, dataset.tasks.len(), options.ratio, options.seed), options.seed),
    };
    let world = WorldId::read(folder)?;
    let explained = interactions.users.iter().all(|user| user.preference.is_some());
    Ok(Loaded { dataset, interactions, split, seed, explained, world, warnings: Vec::new() })
}
