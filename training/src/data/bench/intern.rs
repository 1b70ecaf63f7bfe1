//! Users, tasks and queries of a PersonaRoute-Bench file, each kept once however many rows repeat them.

use std::collections::HashMap;

use ndarray::Array2;

use super::row::{Columns, Outcome};
use super::{Query, TaskInfo, UserInfo, at};
use crate::data::csv::Record;
use crate::data::error::DataError;
use crate::data::float;

/// Users by id.
#[derive(Default)]
pub(super) struct Users {
    rows: HashMap<String, u32>,
    infos: Vec<(UserInfo, u64)>,
}

/// Tasks by name.
#[derive(Default)]
pub(super) struct Tasks {
    rows: HashMap<String, u32>,
    infos: Vec<TaskInfo>,
    embeddings: Vectors,
}

/// Queries by task and text, with their outcomes.
pub(super) struct Queries {
    rows: HashMap<u64, Vec<u32>>,
    infos: Vec<(u32, String)>,
    parts: Vec<u8>,
    embeddings: Vectors,
    llms: usize,
    effect: Vec<Cell>,
    cost: Vec<Cell>,
}

/// Queries in their final order.
pub(super) struct Sorted {
    /// New number of each old one.
    pub(super) order: Vec<u32>,
    pub(super) infos: Vec<Query>,
    pub(super) embeddings: Array2<f32>,
    pub(super) effect: Array2<f32>,
    pub(super) cost: Array2<f32>,
    /// One bit a file the query stands in.
    pub(super) parts: Vec<u8>,
    /// Whether all users saw the same effects and costs.
    pub(super) agreed: bool,
}

/// Rows of numbers of one length; the raw text of a row is remembered by hash, so that repeats are not parsed.
#[derive(Default)]
struct Vectors {
    dim: Option<usize>,
    values: Vec<f32>,
    raw: Vec<u64>,
}

/// Mean of one answer's outcome over the rows that name it.
#[derive(Clone, Copy, Default)]
struct Cell {
    sum: f64,
    count: u32,
    differs: bool,
}

impl Users {
    pub(super) fn row(
        &mut self,
        record: &Record<'_>,
        columns: &Columns,
        preference: Option<f64>,
    ) -> Result<u32, DataError> {
        let id = record.text(columns.user)?;
        if let Some(&row) = self.rows.get(id) {
            let known = self.infos.get(row as usize);
            return match known.filter(|(user, _)| user.preference != preference) {
                None => Ok(row),
                Some((user, line)) => {
                    let first = user.preference.unwrap_or(f64::NAN);
                    let expected = format!("user {id}'s preference {first} as on line {line}");
                    Err(record.location(None).error(expected, preference.unwrap_or(f64::NAN).to_string()))
                }
            };
        }
        let row = u32::try_from(self.infos.len()).unwrap_or(u32::MAX);
        self.rows.insert(id.to_owned(), row);
        self.infos.push((UserInfo { id: id.to_owned(), preference }, record.line));
        Ok(row)
    }

    /// Returns the users, numbers before words, and the new number of each.
    pub(super) fn sorted(self) -> (Vec<UserInfo>, Vec<u32>) {
        let key = |user: &UserInfo| (user.id.parse::<u64>().unwrap_or(u64::MAX), user.id.clone());
        let mut rows: Vec<(u32, UserInfo)> = (0..).zip(self.infos.into_iter().map(|(user, _)| user)).collect();
        rows.sort_by_cached_key(|(_, user)| key(user));
        let order = inverse(rows.iter().map(|(old, _)| *old));
        (rows.into_iter().map(|(_, user)| user).collect(), order)
    }
}

impl Tasks {
    pub(super) fn row(&mut self, record: &Record<'_>, columns: &Columns) -> Result<u32, DataError> {
        let name = record.text(columns.task)?;
        let known = self.rows.get(name).copied();
        let row = match known {
            Some(row) => row,
            None => {
                let row = u32::try_from(self.infos.len()).unwrap_or(u32::MAX);
                let description = columns.task_description.map(|column| record.text(column)).transpose()?;
                self.rows.insert(name.to_owned(), row);
                let description = description.unwrap_or_default().to_owned();
                self.infos.push(TaskInfo { name: name.to_owned(), description });
                row
            }
        };
        if let Some(column) = columns.task_embedding {
            self.embeddings.row(record, column, row)?;
        }
        Ok(row)
    }

    /// Returns the tasks by name, the new number of each, and their embeddings.
    pub(super) fn sorted(self) -> (Vec<TaskInfo>, Vec<u32>, Array2<f32>) {
        let mut rows: Vec<(u32, TaskInfo)> = (0..).zip(self.infos).collect();
        rows.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let old: Vec<u32> = rows.iter().map(|(old, _)| *old).collect();
        let embeddings = self.embeddings.array(&old);
        (rows.into_iter().map(|(_, task)| task).collect(), inverse(old), embeddings)
    }
}

impl Queries {
    pub(super) fn new(llms: usize) -> Self {
        Self {
            rows: HashMap::new(),
            infos: Vec::new(),
            parts: Vec::new(),
            embeddings: Vectors::default(),
            llms,
            effect: Vec::new(),
            cost: Vec::new(),
        }
    }

    /// Returns the number of the query of this row; `part` is the file it stands in.
    pub(super) fn row(
        &mut self,
        record: &Record<'_>,
        columns: &Columns,
        task: u32,
        part: u8,
    ) -> Result<u32, DataError> {
        let text = record.text(columns.query)?;
        let same = self.rows.entry(hash(text.as_bytes()) ^ u64::from(task)).or_default();
        let infos = &mut self.infos;
        let known = same
            .iter()
            .copied()
            .find(|&row| infos.get(row as usize).is_some_and(|(other, known)| *other == task && known == text));
        let row = known.unwrap_or_else(|| {
            let row = u32::try_from(infos.len()).unwrap_or(u32::MAX);
            infos.push((task, text.to_owned()));
            same.push(row);
            self.parts.push(0);
            self.effect.resize(infos.len() * self.llms, Cell::default());
            self.cost.resize(infos.len() * self.llms, Cell::default());
            row
        });
        if let Some(parts) = self.parts.get_mut(row as usize) {
            *parts |= 1 << part.min(7);
        }
        if let Some(column) = columns.query_embedding {
            self.embeddings.row(record, column, row)?;
        }
        Ok(row)
    }

    pub(super) fn outcome(&mut self, query: u32, outcome: &Outcome) {
        let place = query as usize * self.llms + usize::from(outcome.llm);
        for (cells, value) in [(&mut self.effect, outcome.effect), (&mut self.cost, outcome.cost)] {
            if let Some(cell) = cells.get_mut(place) {
                cell.add(f64::from(value));
            }
        }
    }

    /// Returns the queries by task, then text: an order that does not depend on that of the rows.
    pub(super) fn sorted(self, task_order: &[u32]) -> Sorted {
        let mut rows: Vec<(u32, u32, String)> =
            (0..).zip(self.infos).map(|(old, (task, text))| (old, at(task_order, task), text)).collect();
        rows.sort_by(|a, b| (a.1, &a.2).cmp(&(b.1, &b.2)));
        let old: Vec<u32> = rows.iter().map(|(old, _, _)| *old).collect();
        let agreed = self.effect.iter().chain(&self.cost).all(|cell| !cell.differs);
        let part = |&old: &u32| self.parts.get(old as usize).copied().unwrap_or(0);
        Sorted {
            order: inverse(old.iter().copied()),
            embeddings: self.embeddings.array(&old),
            effect: means(&self.effect, &old, self.llms),
            cost: means(&self.cost, &old, self.llms),
            parts: old.iter().map(part).collect(),
            infos: (0..).zip(rows).map(|(id, (_, task, text))| Query { id, task, text }).collect(),
            agreed,
        }
    }
}

impl Vectors {
    /// Reads the vector of row `row`; a repeat of the same text costs one hash.
    fn row(&mut self, record: &Record<'_>, column: usize, row: u32) -> Result<(), DataError> {
        let text = record.bytes(column);
        let raw = hash(text);
        let known = self.raw.get(row as usize).copied();
        if known == Some(raw) {
            return Ok(());
        }
        let begin = self.values.len();
        float::array(text, &mut self.values)
            .map_err(|found| record.location(Some(column)).error("an array of numbers", format!("`{found}`")))?;
        let length = self.values.len() - begin;
        let dim = *self.dim.get_or_insert(length);
        if length != dim || dim == 0 {
            let expected = format!("{} numbers as in the first embedding", dim.max(1));
            return Err(record.location(Some(column)).error(expected, length.to_string()));
        }
        match known {
            // Another spelling of a known vector: the first one stays.
            Some(_) => self.values.truncate(begin),
            None => self.raw.push(raw),
        }
        Ok(())
    }

    fn array(&self, rows: &[u32]) -> Array2<f32> {
        let dim = self.dim.unwrap_or(0);
        Array2::from_shape_fn((rows.len(), dim), |(row, column)| {
            let begin = rows.get(row).map_or(0, |&old| old as usize * dim);
            self.values.get(begin + column).copied().unwrap_or(0.0)
        })
    }
}

impl Cell {
    fn add(&mut self, value: f64) {
        self.differs |= self.count > 0 && (self.sum / f64::from(self.count) - value).abs() > 1e-9;
        self.sum += value;
        self.count += 1;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: outcomes are single precision in the data set")]
fn means(cells: &[Cell], rows: &[u32], llms: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows.len(), llms), |(row, llm)| {
        let place = rows.get(row).map_or(usize::MAX, |&old| old as usize * llms + llm);
        cells.get(place).map_or(f32::NAN, |cell| (cell.sum / f64::from(cell.count)) as f32)
    })
}

/// Returns the new number of each old one.
fn inverse(old: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut pairs: Vec<(u32, u32)> = old.into_iter().zip(0..).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, new)| new).collect()
}

/// A quick hash of raw text, eight bytes a step: embeddings are repeated in every row and must cost next to nothing.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| (state ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words.iter().fold(bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, &byte| mix(state, u64::from(byte))).wrapping_mul(FACTOR)
}
