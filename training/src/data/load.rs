//! Reads any layout: recognises which one a path holds, and returns everything an experiment needs.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::source::{BenchFiles, Loaded, Options, Source};
use super::split::split;
use super::world::file::WorldId;
use super::{bench, encode, open, outcome, user, vote};

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
        Ok(Self::Bench(BenchFiles { files: vec![path.to_owned()], llms, embeddings }))
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
