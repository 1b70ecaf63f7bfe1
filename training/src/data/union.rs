//! Several outcomes folders as one data set: LLMs, tasks and queries side by side, and costs on one scale.
//!
//! No LLM has answered all queries then: an outcome that no folder has is not observed. Costs are dollars of each answer, by the
//! min-max of their logarithm over all folders, so that an LLM that is cheap in one folder is cheap beside those of another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{Array2, Axis, concatenate};
use serde_json::{Map, Value, json};

use super::csv::Writer;
use super::error::DataError;
use super::{Dataset, LlmInfo, Query, TaskInfo, fingerprint, npy, outcome};

/// Query ids of a folder are so far apart from those of the next one.
const FOLDER_STEP: u64 = 1 << 40;
/// Least cost in dollars, so that an answer for free has a logarithm.
const LEAST_DOLLARS: f64 = 1e-9;

/// Another name for an LLM of a folder: `FOLDER/LLM=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Name of the folder.
    pub folder: String,
    /// Id of the LLM in it.
    pub llm: String,
    /// Id of the LLM in the union.
    pub name: String,
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('=').and_then(|(from, name)| Some((from.split_once('/')?, name)));
        match parts {
            Some(((folder, llm), name)) if ![folder, llm, name].contains(&"") => {
                Ok(Self { folder: folder.to_owned(), llm: llm.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected FOLDER/LLM=NAME".to_owned()),
        }
    }
}

/// Reads folders of outcomes. An LLM that several folders name is one LLM only if they say the same of it.
pub fn read(folders: &[PathBuf], renames: &[Rename]) -> Result<Dataset, DataError> {
    let mut union = Union::default();
    for (number, folder) in (0_u64..).zip(folders) {
        let mut part = outcome::read_dollars(folder)?;
        for rename in renames.iter().filter(|rename| rename.folder == part.name) {
            let found = part.llms.iter_mut().find(|llm| llm.id == rename.llm);
            let missing = || DataError::format(&folder.join("llms.json"), format!("an LLM `{}`", rename.llm), "none");
            found.ok_or_else(missing)?.id.clone_from(&rename.name);
        }
        union.add(folder, part, number * FOLDER_STEP)?;
    }
    union.finish()
}

/// Folders read so far.
#[derive(Default)]
struct Union {
    names: Vec<String>,
    llms: Vec<LlmInfo>,
    llm_embeddings: Vec<Option<Vec<f32>>>,
    tasks: Vec<TaskInfo>,
    task_embeddings: Vec<Option<Vec<f32>>>,
    queries: Vec<Query>,
    query_embeddings: Vec<Array2<f32>>,
    /// Effect and dollars of `[query, LLM]`.
    outcomes: Vec<(usize, usize, [f32; 2])>,
}

impl Union {
    fn add(&mut self, folder: &Path, part: Dataset, step: u64) -> Result<(), DataError> {
        let llms = self.add_llms(folder, &part)?;
        let tasks = self.add_tasks(&part);
        let first = self.queries.len();
        for query in &part.queries {
            let task = tasks.get(query.task as usize).copied().unwrap_or(0);
            self.queries.push(Query { id: step + query.id, task, text: query.text.clone() });
        }
        for ((query, llm), &effect) in part.effect.indexed_iter().filter(|(_, effect)| !effect.is_nan()) {
            let dollars = part.cost.get((query, llm)).copied().unwrap_or(f32::NAN);
            let llm = llms.get(llm).copied().unwrap_or(0);
            self.outcomes.push((first + query, llm, [effect, dollars]));
        }
        self.query_embeddings.push(part.query_embeddings);
        self.names.push(part.name);
        Ok(())
    }

    /// Returns the position of each LLM of a folder.
    fn add_llms(&mut self, folder: &Path, part: &Dataset) -> Result<Vec<usize>, DataError> {
        let mut positions = Vec::new();
        for (llm, embedding) in part.llms.iter().zip(rows(&part.llm_embeddings, part.llms.len())) {
            let known = self.llms.iter().position(|known| known.id == llm.id);
            if let Some(known) = known.and_then(|at| self.llms.get(at)).filter(|known| *known != llm) {
                let expected = format!(
                    "what the other folders say of `{}` (`{}`), or another name for it: --llm-name",
                    known.id, known.model
                );
                return Err(DataError::format(&folder.join("llms.json"), expected, &llm.model));
            }
            positions.push(known.unwrap_or(self.llms.len()));
            if known.is_none() {
                self.llms.push(llm.clone());
                self.llm_embeddings.push(embedding);
            }
        }
        Ok(positions)
    }

    /// Returns the index of each task of a folder, in the order in which they came.
    fn add_tasks(&mut self, part: &Dataset) -> Vec<u32> {
        let mut indices = Vec::new();
        for (task, embedding) in part.tasks.iter().zip(rows(&part.task_embeddings, part.tasks.len())) {
            let known = self.tasks.iter().position(|known| known.name == task.name);
            indices.push(u32::try_from(known.unwrap_or(self.tasks.len())).unwrap_or(u32::MAX));
            if known.is_none() {
                self.tasks.push(task.clone());
                self.task_embeddings.push(embedding);
            }
        }
        indices
    }

    fn finish(mut self) -> Result<Dataset, DataError> {
        self.sort_tasks();
        let shape = (self.queries.len(), self.llms.len());
        let [mut effect, mut cost] = [(), ()].map(|()| Array2::from_elem(shape, f32::NAN));
        let scale = LogScale::of(self.outcomes.iter().map(|(_, _, [_, dollars])| *dollars));
        for (query, llm, [good, dollars]) in self.outcomes {
            if let (Some(effect), Some(cost)) = (effect.get_mut((query, llm)), cost.get_mut((query, llm))) {
                (*effect, *cost) = (good, scale.place(dollars));
            }
        }
        let mut dataset = Dataset {
            name: self.names.join("+"),
            llm_embeddings: stacked(&self.llm_embeddings),
            llms: self.llms,
            task_embeddings: stacked(&self.task_embeddings),
            tasks: self.tasks,
            query_embeddings: beneath(&self.query_embeddings, self.queries.len()),
            queries: self.queries,
            effect,
            cost,
            fingerprint: String::new(),
        };
        dataset.fingerprint = fingerprint::of(&dataset);
        Ok(dataset)
    }

    /// Tasks stand in the order of their names everywhere.
    fn sort_tasks(&mut self) {
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|&at| self.tasks.get(at).map(|task| task.name.clone()));
        let place: HashMap<u32, u32> =
            order.iter().zip(0..).filter_map(|(&from, to)| Some((u32::try_from(from).ok()?, to))).collect();
        for query in &mut self.queries {
            query.task = place.get(&query.task).copied().unwrap_or(query.task);
        }
        self.tasks = order.iter().filter_map(|&at| self.tasks.get(at)).cloned().collect();
        self.task_embeddings = order.iter().filter_map(|&at| self.task_embeddings.get(at)).cloned().collect();
    }
}

/// Min-max of the logarithm.
struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    fn of(dollars: impl Iterator<Item = f32>) -> Self {
        let fold = |(low, high): (f64, f64), next: f64| (low.min(next), high.max(next));
        let (low, high) = dollars.map(logarithm).fold((f64::INFINITY, f64::NEG_INFINITY), fold);
        Self { low, high }
    }

    #[expect(clippy::cast_possible_truncation, reason = "invariant: outcomes are single precision in the data set")]
    fn place(&self, dollars: f32) -> f32 {
        let span = self.high - self.low;
        if span > 0.0 { ((logarithm(dollars) - self.low) / span) as f32 } else { 0.0 }
    }
}

fn logarithm(dollars: f32) -> f64 {
    f64::from(dollars).max(LEAST_DOLLARS).ln()
}

/// Returns the embedding of each name, if the folder has any.
fn rows(embeddings: &Array2<f32>, count: usize) -> Vec<Option<Vec<f32>>> {
    let row = |at| (embeddings.ncols() > 0 && at < embeddings.nrows()).then(|| embeddings.row(at).to_vec());
    (0..count).map(row).collect()
}

/// Returns embeddings as an array; none where a folder lacks them, or where they are of different models.
fn stacked(embeddings: &[Option<Vec<f32>>]) -> Array2<f32> {
    let width = embeddings.first().and_then(Option::as_ref).map_or(0, Vec::len);
    let whole = embeddings.iter().all(|row| row.as_ref().is_some_and(|row| row.len() == width));
    let flat: Vec<f32> = embeddings.iter().flatten().flatten().copied().collect();
    let none = || Array2::zeros((embeddings.len(), 0));
    if whole { Array2::from_shape_vec((embeddings.len(), width), flat).unwrap_or_else(|_| none()) } else { none() }
}

fn beneath(parts: &[Array2<f32>], count: usize) -> Array2<f32> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros((count, 0)))
}

/// Writes a data set as an outcomes folder.
pub fn write(dataset: &Dataset, out: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(out).map_err(|source| DataError::write(out, source))?;
    let task = |query: &Query| dataset.tasks.get(query.task as usize).map_or("", |task| task.name.as_str());
    let mut queries = Writer::create(&out.join("queries.csv.gz"), &["query_id", "task_id", "query"])?;
    for query in &dataset.queries {
        queries.record([query.id.to_string().as_str(), task(query), &query.text])?;
    }
    queries.finish()?;
    let mut outcomes = Writer::create(&out.join("outcomes.csv.gz"), &["query_id", "llm", "effect", "cost_log"])?;
    for ((row, llm), effect) in dataset.effect.indexed_iter().filter(|(_, effect)| !effect.is_nan()) {
        let known = dataset.queries.get(row).zip(dataset.llms.get(llm)).zip(dataset.cost.get((row, llm)));
        let Some(((query, llm), cost)) = known else { continue };
        outcomes.record([&query.id.to_string(), &llm.id, &effect.to_string(), &cost.to_string()])?;
    }
    outcomes.finish()?;
    let llm = |llm: &LlmInfo| {
        let LlmInfo { description, model, input_price, output_price, .. } = llm;
        let prices = [input_price, output_price].map(|price| decimal(*price));
        let [input_price, output_price] = prices;
        let facts = json!({
            "feature": description, "input_price": input_price, "output_price": output_price, "model": model,
        });
        (llm.id.clone(), facts)
    };
    write_json(&out.join("llms.json"), dataset.llms.iter().map(llm))?;
    write_json(&out.join("tasks.json"), dataset.tasks.iter().map(|task| (task.name.clone(), json!(task.description))))?;
    let ids = dataset.llms.iter().map(|llm| llm.id.clone());
    write_embeddings(&out.join("llm_embeddings.json"), ids, &dataset.llm_embeddings)?;
    let names = dataset.tasks.iter().map(|task| task.name.clone());
    write_embeddings(&out.join("task_embeddings.json"), names, &dataset.task_embeddings)?;
    match dataset.query_embeddings.ncols() {
        0 => Ok(()),
        _ => npy::write(&out.join("query_embeddings.npy"), &dataset.query_embeddings),
    }
}

fn write_embeddings(
    file: &Path,
    names: impl Iterator<Item = String>,
    embeddings: &Array2<f32>,
) -> Result<(), DataError> {
    if embeddings.ncols() == 0 {
        return Ok(());
    }
    let numbers = |row: ndarray::ArrayView1<'_, f32>| Value::from(row.iter().map(|&x| decimal(x)).collect::<Vec<_>>());
    write_json(file, names.zip(embeddings.rows().into_iter().map(numbers)))
}

fn write_json(file: &Path, entries: impl Iterator<Item = (String, Value)>) -> Result<(), DataError> {
    let text = Value::Object(entries.collect::<Map<String, Value>>()).to_string();
    std::fs::write(file, text).map_err(|source| DataError::write(file, source))
}

/// Returns the number with the fewest digits that reads back as this one.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::outcome::Cost;

    fn folder(dir: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = dir.join(name);
        std::fs::create_dir(&folder).unwrap();
        files.iter().for_each(|(file, text)| std::fs::write(folder.join(file), text).unwrap());
        folder
    }

    fn folders(dir: &Path) -> [PathBuf; 2] {
        let old = [
            ("queries.csv", "query_id,task_id,query\n0,sums,1+1?\n1,words,\"a, b\"\n"),
            ("outcomes.csv", "query_id,llm,effect,cost_usd\n0,small,1,0.0001\n0,sonnet,0.5,0.01\n1,small,0,0.001\n"),
            (
                "llms.json",
                r#"{"small": {"feature": "s", "input_price": 0.2, "output_price": 0.4},
                    "sonnet": {"feature": "of June", "input_price": 3, "output_price": 15}}"#,
            ),
        ];
        let new = [
            ("queries.csv", "query_id,task_id,query\n0,code,f(x)\n"),
            ("outcomes.csv", "query_id,llm,effect,cost_usd\n0,sonnet,1,1\n0,small,0,0\n"),
            (
                "llms.json",
                r#"{"sonnet": {"feature": "of October", "input_price": 3, "output_price": 15},
                    "small": {"feature": "s", "input_price": 0.2, "output_price": 0.4}}"#,
            ),
        ];
        [folder(dir, "old", &old), folder(dir, "new", &new)]
    }

    fn rename() -> Rename {
        "new/sonnet=sonnet-2".parse().unwrap()
    }

    #[test]
    fn llms_tasks_and_queries_stand_side_by_side_with_one_scale_of_costs() {
        let dir = tempfile::tempdir().unwrap();
        let union = read(&folders(dir.path()), &[rename()]).unwrap();
        let ids: Vec<&str> = union.llms.iter().map(|llm| llm.id.as_str()).collect();
        let tasks: Vec<&str> = union.tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!((ids, tasks), (vec!["small", "sonnet", "sonnet-2"], vec!["code", "sums", "words"]));
        assert_eq!(union.queries.iter().map(|query| query.task).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(union.queries.iter().map(|query| query.id).collect::<Vec<_>>(), [0, 1, FOLDER_STEP]);
        let known = |query, llm| !union.effect[[query, llm]].is_nan();
        assert_eq!([known(0, 2), known(1, 1), known(2, 1), known(2, 0)], [false, false, false, true]);
        // Nothing, a ten-thousandth, a hundredth and one dollar.
        let cost = |query, llm| union.cost[[query, llm]];
        assert_eq!([cost(2, 0), cost(2, 2)], [0.0, 1.0]);
        assert!((cost(0, 0) - 5.0 / 9.0).abs() < 1e-6 && (cost(0, 1) - 7.0 / 9.0).abs() < 1e-6);
    }

    #[test]
    fn one_name_for_two_llms_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(&folders(dir.path()), &[]).unwrap_err().to_string();
        assert!(
            error.contains("new/llms.json") && error.contains("`sonnet`") && error.contains("--llm-name"),
            "{error}"
        );
        let dir = tempfile::tempdir().unwrap();
        let stranger: Rename = "new/nobody=x".parse().unwrap();
        let error = read(&folders(dir.path()), &[stranger]).unwrap_err().to_string();
        assert!(error.contains("expected an LLM `nobody`"), "{error}");
        for wrong in ["", "a=b", "a/b", "/b=c", "a/b="] {
            assert!(wrong.parse::<Rename>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_written_union_reads_back_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let union = read(&folders(dir.path()), &[rename()]).unwrap();
        let out = dir.path().join("old+new");
        write(&union, &out).unwrap();
        let again = outcome::read(&out, Cost::CostLog, &[]).unwrap();
        assert_eq!(again.fingerprint, union.fingerprint);
        assert_eq!((again.llms, again.tasks, again.queries), (union.llms, union.tasks, union.queries));
    }
}
