//! Reads PersonaRoute-Bench files: one row a user, query and LLM, with embeddings as text in every row.
//!
//! Rows are streamed, each text and embedding is kept once, and the result does not depend on the order of rows.

mod intern;
mod row;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ndarray::Array2;

use super::csv::Records;
use super::error::DataError;
use super::interaction::builder::InteractionBuilder;
use super::source::{BenchFiles, Loaded, Options};
use super::split::split;
use super::{Dataset, LlmInfo, Query, Split, TaskInfo, UserInfo, embedding, fingerprint, llm};

use intern::{Queries, Tasks, Users};
use row::Columns;

/// How far a reward may be from what preference, effect and cost say: files print six digits.
const ROUNDING: f64 = 1e-4;

/// What the rows read so far say.
struct BenchReader<'a> {
    llms: &'a [LlmInfo],
    users: Users,
    tasks: Tasks,
    queries: Queries,
    interactions: InteractionBuilder,
    explained: bool,
}

/// Reads the files.
pub fn read(files: &BenchFiles, options: &Options) -> Result<Loaded> {
    let llms = llm::read(&files.llms, &options.families)?;
    let mut reader = BenchReader {
        llms: &llms,
        users: Users::default(),
        tasks: Tasks::default(),
        queries: Queries::new(llms.len()),
        interactions: InteractionBuilder::default(),
        explained: true,
    };
    let paths = files.files.iter().map(|path| single(path)).collect::<Result<Vec<_>>>()?;
    for (part, path) in (0_u8..).zip(&paths) {
        reader.file(path, part)?;
    }
    let name = paths.first().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default().trim_end_matches(".gz").trim_end_matches(".csv").replace("_train", "");
    let llm_names: Vec<&str> = llms.iter().map(|llm| llm.id.as_str()).collect();
    let llm_embeddings = match &files.embeddings {
        Some(file) => embedding::named(file, &llm_names)?,
        None => Array2::zeros((llms.len(), 0)),
    };
    reader.finish(name, llm_embeddings, paths.len(), options)
}

/// Returns the LLM metadata of a folder: its only JSON file, or the one whose name contains `descr`.
pub fn metadata(folder: &Path) -> Result<PathBuf> {
    let all = with_extension(folder, &["json"])?;
    let descriptions = all.iter().find(|path| name(path).contains("descr"));
    match (descriptions, all.as_slice()) {
        (Some(path), _) => Ok(path.clone()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(DataError::missing(folder, "with the LLM metadata (`LLM_Descriptions*.json`)").into()),
    }
}

/// Returns the LLM embeddings of a folder: the first pickle or `.npy` file whose name contains `embedding`.
pub fn embeddings(folder: &Path) -> Option<PathBuf> {
    let all = with_extension(folder, &["pkl", "npy"]).ok()?;
    all.into_iter().find(|path| name(path).contains("embedding"))
}

/// Returns the CSV file at a path: the path itself, or the one file of a folder that holds all rows.
fn single(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut all = with_extension(path, &["csv", "csv.gz"])?;
    if all.len() > 1 {
        all.retain(|path| !["train", "val", "test"].iter().any(|part| name(path).contains(part)));
    }
    match all.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(DataError::missing(path, "ending in .csv or .csv.gz").into()),
        _ => bail!("{}: holds several CSV files; name one", path.display()),
    }
}

fn with_extension(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| DataError::read(folder, source))? {
        let path = entry.map_err(|source| DataError::read(folder, source))?.path();
        if extensions.iter().any(|extension| name(&path).ends_with(&format!(".{extension}"))) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

impl BenchReader<'_> {
    fn file(&mut self, path: &Path, part: u8) -> Result<(), DataError> {
        let mut records = Records::open(path)?;
        let columns = Columns::find(&records)?;
        self.interactions.begin(path);
        while let Some(record) = records.next()? {
            let task = self.tasks.row(&record, &columns)?;
            let query = self.queries.row(&record, &columns, task, part)?;
            let preference = columns.preference(&record)?;
            let user = self.users.row(&record, &columns, preference)?;
            let outcome = columns.outcome(&record, self.llms, preference)?;
            self.queries.outcome(query, &outcome);
            self.explained &= outcome.formula.is_some_and(|formula| (formula - outcome.reward).abs() < ROUNDING);
            self.interactions.push(user as usize, outcome.entry(query), record.line);
        }
        Ok(())
    }

    fn finish(mut self, name: String, llm_embeddings: Array2<f32>, parts: usize, options: &Options) -> Result<Loaded> {
        let (tasks, task_order, task_embeddings) = self.tasks.sorted();
        let (users, user_order) = self.users.sorted();
        let queries = self.queries.sorted(&task_order);
        for (user, entry) in self.interactions.entries_mut() {
            *user = at(&user_order, *user);
            entry.query = at(&queries.order, entry.query);
        }
        let interactions = self.interactions.group(users)?;
        let mut dataset = Dataset {
            name,
            llms: self.llms.to_vec(),
            llm_embeddings,
            tasks,
            task_embeddings,
            queries: queries.infos,
            query_embeddings: queries.embeddings,
            effect: queries.effect,
            cost: queries.cost,
            fingerprint: String::new(),
        };
        dataset.fingerprint = fingerprint::of(&dataset);
        let mut warnings = Vec::new();
        let split = match parts {
            3 => of_files(&queries.parts, &mut warnings),
            _ => split(&dataset.queries, dataset.tasks.len(), options.ratio, options.seed),
        };
        let are_known = interactions.users.iter().all(|user| user.preference.is_some());
        let explained = self.explained && are_known && queries.agreed;
        Ok(Loaded { dataset, interactions, split, seed: options.seed, explained, world: None, warnings })
    }
}

/// Returns the split that three files make. A query in several files belongs to the last, so that no query leaks.
fn of_files(parts: &[u8], warnings: &mut Vec<String>) -> Split {
    let mut split = Split::default();
    let mut shared = 0;
    for (query, &part) in (0_u32..).zip(parts) {
        shared += usize::from(part.count_ones() > 1);
        match part {
            4.. => split.test.push(query),
            2.. => split.validation.push(query),
            _ => split.train.push(query),
        }
    }
    if shared > 0 {
        warnings
            .push(format!("{shared} queries are in more than one of the files: each counts for the last of them only"));
    }
    split
}

/// Looks a number up in a renumbering.
fn at(order: &[u32], number: u32) -> u32 {
    order.get(number as usize).copied().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
