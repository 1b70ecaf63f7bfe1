//! Reads an outcomes folder: every query answered by every LLM (or by some), with effect and cost.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use serde_json::{Map, Value};

use super::csv::{Record, Records};
use super::error::DataError;
use super::{Dataset, LlmInfo, Query, TaskInfo, embedding, fingerprint, llm, npy, open};

/// Which of the data's normalised costs is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Min-max of the logarithm inside the task (the protocol's main setting).
    #[default]
    #[value(name = "cost_log")]
    CostLog,
    /// Min-max inside the task.
    Cost,
}

impl Cost {
    /// Returns the name of the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CostLog => "cost_log",
            Self::Cost => "cost",
        }
    }
}

/// Reads a folder of outcomes; `families` are name parts of LLMs that belong together.
pub fn read(folder: &Path, cost: Cost, families: &[String]) -> Result<Dataset, DataError> {
    read_column(folder, cost.as_str(), families)
}

/// Reads a folder of outcomes with the dollars of each answer as its cost.
pub(super) fn read_dollars(folder: &Path) -> Result<Dataset, DataError> {
    read_column(folder, "cost_usd", &[])
}

fn read_column(folder: &Path, cost: &str, families: &[String]) -> Result<Dataset, DataError> {
    let llms = llm::read(&folder.join("llms.json"), families)?;
    let (queries, tasks) = read_queries(folder)?;
    let (effect, cost) = read_outcomes(folder, cost, &queries, &llms)?;
    let llm_names: Vec<&str> = llms.iter().map(|llm| llm.id.as_str()).collect();
    let task_names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    let mut dataset = Dataset {
        name,
        llm_embeddings: embeddings(folder, "llm_embeddings.json", &llm_names)?,
        task_embeddings: embeddings(folder, "task_embeddings.json", &task_names)?,
        query_embeddings: query_embeddings(folder, queries.len())?,
        llms,
        tasks,
        queries,
        effect,
        cost,
        fingerprint: String::new(),
    };
    dataset.fingerprint = fingerprint::of(&dataset);
    Ok(dataset)
}

/// Positions of names, for look-ups by row.
pub(crate) fn positions<'a>(names: impl IntoIterator<Item = &'a str>) -> HashMap<String, usize> {
    names.into_iter().enumerate().map(|(at, name)| (name.to_owned(), at)).collect()
}

pub(super) fn read_queries(folder: &Path) -> Result<(Vec<Query>, Vec<TaskInfo>), DataError> {
    let mut records = Records::open(&open::require(folder, "queries.csv")?)?;
    let [id, task, text] = ["query_id", "task_id", "query"].map(|name| records.column(name));
    let (id, task, text) = (id?, task?, text?);
    let mut rows: Vec<(u64, String, String)> = Vec::new();
    let mut seen = HashMap::new();
    while let Some(record) = records.next()? {
        let query = record.whole(id)?;
        if let Some(line) = seen.insert(query, record.line) {
            return Err(record
                .location(Some(id))
                .error(format!("each query once (first on line {line})"), query.to_string()));
        }
        rows.push((query, record.text(task)?.to_owned(), record.text(text)?.to_owned()));
    }
    let mut names: Vec<String> = rows.iter().map(|(_, task, _)| task.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let tasks = task_infos(folder, names)?;
    let places = positions(tasks.iter().map(|task| task.name.as_str()));
    let index = |name: &str| u32::try_from(places.get(name).copied().unwrap_or(0)).unwrap_or(u32::MAX);
    Ok((rows.into_iter().map(|(id, task, text)| Query { id, task: index(&task), text }).collect(), tasks))
}

fn task_infos(folder: &Path, names: Vec<String>) -> Result<Vec<TaskInfo>, DataError> {
    let file = folder.join("tasks.json");
    let described: Map<String, Value> = match file.is_file() {
        true => serde_json::from_slice(&open::bytes(&file)?)
            .map_err(|error| DataError::format(&file, "a JSON object: task → description", error.to_string()))?,
        false => Map::new(),
    };
    let text = |name: &str| described.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(names.into_iter().map(|name| TaskInfo { description: text(&name), name }).collect())
}

/// Columns of `outcomes.csv`.
struct Columns {
    query: usize,
    llm: usize,
    effect: usize,
    cost: usize,
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: outcomes are single precision in the data set")]
fn read_outcomes(
    folder: &Path,
    cost: &str,
    queries: &[Query],
    llms: &[LlmInfo],
) -> Result<(Array2<f32>, Array2<f32>), DataError> {
    let mut records = Records::open(&open::require(folder, "outcomes.csv")?)?;
    let columns = Columns {
        query: records.column("query_id")?,
        llm: records.column("llm")?,
        effect: records.column("effect")?,
        cost: records.column(cost)?,
    };
    let rows: HashMap<u64, usize> = queries.iter().enumerate().map(|(row, query)| (query.id, row)).collect();
    let names = positions(llms.iter().map(|llm| llm.id.as_str()));
    let shape = (queries.len(), llms.len());
    let (mut effects, mut costs) = (Array2::from_elem(shape, f32::NAN), Array2::from_elem(shape, f32::NAN));
    while let Some(record) = records.next()? {
        let place = outcome_place(&record, &columns, &rows, &names)?;
        let (Some(effect), Some(cost)) = (effects.get_mut(place), costs.get_mut(place)) else { continue };
        if !effect.is_nan() {
            let expected = "one outcome for each query and LLM";
            let found = format!("a second for {}, {}", record.text(columns.query)?, record.text(columns.llm)?);
            return Err(record.location(None).error(expected, found));
        }
        *effect = record.number(columns.effect)? as f32;
        *cost = record.number(columns.cost)? as f32;
    }
    Ok((effects, costs))
}

fn outcome_place(
    record: &Record<'_>,
    columns: &Columns,
    rows: &HashMap<u64, usize>,
    names: &HashMap<String, usize>,
) -> Result<(usize, usize), DataError> {
    let (query, llm) = (record.whole(columns.query)?, record.text(columns.llm)?);
    let row = rows.get(&query).copied();
    let row =
        row.ok_or_else(|| record.location(Some(columns.query)).error("a query of queries.csv", query.to_string()))?;
    let column = names.get(llm).copied();
    let column =
        column.ok_or_else(|| record.location(Some(columns.llm)).error("an LLM of llms.json", format!("`{llm}`")))?;
    Ok((row, column))
}

pub(super) fn embeddings(folder: &Path, name: &str, names: &[&str]) -> Result<Array2<f32>, DataError> {
    let file = folder.join(name);
    match file.is_file() {
        true => embedding::named(&file, names),
        false => Ok(Array2::zeros((names.len(), 0))),
    }
}

pub(super) fn query_embeddings(folder: &Path, queries: usize) -> Result<Array2<f32>, DataError> {
    let file = folder.join("query_embeddings.npy");
    if !file.is_file() {
        return Ok(Array2::zeros((queries, 0)));
    }
    let embeddings = npy::read(&file)?;
    match embeddings.nrows() == queries {
        true => Ok(embeddings),
        false => {
            Err(DataError::format(&file, format!("{queries} rows as in queries.csv"), embeddings.nrows().to_string()))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
