//! Users and their interactions on disk: `users.csv`, `interactions.csv[.gz]` and `split.json` beside the outcomes.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::gather::Gathered;
use super::open::{Output, field};
use super::outcome::positions;
use super::record::{Record, Records};
use super::{Dataset, Entry, Interactions, Split, UserInfo, open};

/// Name of the file that lists the users.
pub const USERS: &str = "users.csv";
/// Name under which interactions are written.
pub const INTERACTIONS: &str = "interactions.csv.gz";
/// Name of the file that holds the split.
pub const SPLIT: &str = "split.json";

/// The split as query ids, with the seed that made it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitFile {
    seed: u64,
    train: Vec<u64>,
    validation: Vec<u64>,
    test: Vec<u64>,
}

/// Writes interactions user by user, so that memory does not grow with their number.
pub struct Writer {
    users: Output,
    interactions: Output,
}

impl Writer {
    /// Creates both files in `folder`.
    pub fn create(folder: &Path) -> Result<Self, DataError> {
        let mut users = Output::create(&folder.join(USERS))?;
        users.line("user_id,performance_preference")?;
        let mut interactions = Output::create(&folder.join(INTERACTIONS))?;
        interactions.line("user_id,query_id,llm,reward")?;
        Ok(Self { users, interactions })
    }

    /// Appends one user with all of its interactions.
    pub fn push(&mut self, dataset: &Dataset, user: &UserInfo, entries: &[Entry]) -> Result<(), DataError> {
        let preference = user.preference.map(|preference| preference.to_string()).unwrap_or_default();
        let id = field(&user.id);
        self.users.line(&format!("{id},{preference}"))?;
        for entry in entries {
            let query = dataset.queries.get(entry.query as usize).map_or(0, |query| query.id);
            let llm = dataset.llms.get(usize::from(entry.llm)).map(|llm| field(&llm.id)).unwrap_or_default();
            self.interactions.line(&format!("{id},{query},{llm},{}", entry.reward))?;
        }
        Ok(())
    }

    /// Completes both files.
    pub fn finish(self) -> Result<(), DataError> {
        self.users.finish()?;
        self.interactions.finish()
    }
}

/// Reads the users and interactions of a folder whose outcomes are `dataset`.
pub fn read(folder: &Path, dataset: &Dataset) -> Result<Interactions, DataError> {
    let users = read_users(&open::require(folder, USERS)?)?;
    let file = open::require(folder, "interactions.csv")?;
    read_interactions(&file, dataset, users)
}

/// Writes the split of `folder`.
pub fn write_split(folder: &Path, dataset: &Dataset, split: &Split, seed: u64) -> Result<(), DataError> {
    let ids = |rows: &[u32]| rows.iter().filter_map(|&row| dataset.queries.get(row as usize)).map(|q| q.id).collect();
    let content =
        SplitFile { seed, train: ids(&split.train), validation: ids(&split.validation), test: ids(&split.test) };
    let file = folder.join(SPLIT);
    let json = serde_json::to_vec(&content)
        .map_err(|error| DataError::format(&file, "a split that can be written", error.to_string()))?;
    std::fs::write(&file, json).map_err(|source| DataError::write(&file, source))
}

/// Reads the split of `folder`, with its seed; nothing when there is none.
pub fn read_split(folder: &Path, dataset: &Dataset) -> Result<Option<(Split, u64)>, DataError> {
    let file = folder.join(SPLIT);
    if !file.is_file() {
        return Ok(None);
    }
    let content: SplitFile = serde_json::from_slice(&open::bytes(&file)?).map_err(|error| {
        DataError::format(&file, "a JSON object with seed, train, validation and test", error.to_string())
    })?;
    let places: HashMap<u64, u32> = (0..).zip(&dataset.queries).map(|(row, query)| (query.id, row)).collect();
    let mut taken = vec![false; dataset.queries.len()];
    let mut rows = |ids: &[u64]| {
        let row = |id: &u64| {
            let row = places.get(id).copied();
            let row = row.ok_or_else(|| DataError::format(&file, "queries of queries.csv", id.to_string()))?;
            match taken.get_mut(row as usize).map(|taken| std::mem::replace(taken, true)) {
                Some(false) => Ok(row),
                Some(true) | None => Err(DataError::format(&file, "each query in one part", format!("{id} twice"))),
            }
        };
        ids.iter().map(row).collect::<Result<Vec<u32>, _>>()
    };
    let split =
        Split { train: rows(&content.train)?, validation: rows(&content.validation)?, test: rows(&content.test)? };
    Ok(Some((split, content.seed)))
}

fn read_users(file: &Path) -> Result<Vec<UserInfo>, DataError> {
    let mut records = Records::open(file)?;
    let id = records.column("user_id")?;
    let preference = records.optional("performance_preference");
    let mut users = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    while let Some(record) = records.next()? {
        let name = record.text(id)?.into_owned();
        if let Some(line) = lines.insert(name.clone(), record.line) {
            return Err(record.place(Some(id)).error(format!("each user once (first on line {line})"), name));
        }
        let known = preference.filter(|&column| !record.bytes(column).is_empty());
        users.push(UserInfo { id: name, preference: known.map(|column| share(&record, column)).transpose()? });
    }
    Ok(users)
}

/// Reads a preference: a number from 0 to 1.
pub(crate) fn share(record: &Record<'_>, column: usize) -> Result<f64, DataError> {
    let number = record.number(column)?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err(record.place(Some(column)).error("a preference from 0 to 1", number.to_string())),
    }
}

/// Reads interactions of `users` with queries and LLMs of `dataset`.
#[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
pub(crate) fn read_interactions(
    file: &Path,
    dataset: &Dataset,
    users: Vec<UserInfo>,
) -> Result<Interactions, DataError> {
    let mut records = Records::open(file)?;
    let [user, query, llm, reward] = ["user_id", "query_id", "llm", "reward"].map(|name| records.column(name));
    let (user, query, llm, reward) = (user?, query?, llm?, reward?);
    let user_rows = positions(users.iter().map(|user| user.id.as_str()));
    let query_rows: HashMap<u64, u32> = (0..).zip(&dataset.queries).map(|(row, query)| (query.id, row)).collect();
    let llm_rows: HashMap<&str, u16> = (0..).zip(&dataset.llms).map(|(row, llm)| (llm.id.as_str(), row)).collect();
    let mut gathered = Gathered::default();
    gathered.begin(file);
    while let Some(record) = records.next()? {
        let (name, id, answer) = (record.text(user)?, record.whole(query)?, record.text(llm)?);
        let unknown =
            |column, expected: &str, found: &str| record.place(Some(column)).error(expected, format!("`{found}`"));
        let row = user_rows.get(name.as_ref()).ok_or_else(|| unknown(user, "a user of users.csv", &name))?;
        let question = query_rows.get(&id).ok_or_else(|| unknown(query, "a query of queries.csv", &id.to_string()))?;
        let answerer = llm_rows.get(answer.as_ref()).ok_or_else(|| unknown(llm, "an LLM of llms.json", &answer))?;
        let entry = Entry { query: *question, llm: *answerer, reward: record.number(reward)? as f32 };
        gathered.push(*row, entry, record.line);
    }
    gathered.group(users)
}

#[cfg(test)]
mod tests;
