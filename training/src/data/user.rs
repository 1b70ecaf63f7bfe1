//! Users and their interactions on disk: `users.csv`, `interactions.csv[.gz]` and `split.json` beside the outcomes.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::csv::{Record, Records, Writer};
use super::error::DataError;
use super::interaction::builder::InteractionBuilder;
use super::outcome::positions;
use super::{Dataset, Interaction, Interactions, SignalKind, Split, UserInfo, open};

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

/// Which columns a file of interactions has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `user_id,query_id,llm,reward`: ratings only.
    Ratings,
    /// `kind` (`rating`, `choice` or `vote`) and `against` (of a vote) besides.
    Signals,
}

/// Writes interactions user by user, so that memory does not grow with their number.
pub struct UserWriter {
    users: Writer,
    interactions: Writer,
    layout: Layout,
}

impl UserWriter {
    /// Creates both files in `folder`.
    pub fn create(folder: &Path, layout: Layout) -> Result<Self, DataError> {
        let users = Writer::create(&folder.join(USERS), &["user_id", "performance_preference"])?;
        let columns = ["user_id", "query_id", "llm", "reward", "kind", "against"];
        let header = match layout {
            Layout::Ratings => columns.get(..4).unwrap_or_default(),
            Layout::Signals => &columns,
        };
        let interactions = Writer::create(&folder.join(INTERACTIONS), header)?;
        Ok(Self { users, interactions, layout })
    }

    /// Appends one user with all of its interactions.
    pub fn push(&mut self, dataset: &Dataset, user: &UserInfo, entries: &[Interaction]) -> Result<(), DataError> {
        let preference = user.preference.map(|preference| preference.to_string()).unwrap_or_default();
        self.users.record([user.id.as_str(), &preference])?;
        let name = |llm: u16| dataset.llms.get(usize::from(llm)).map_or("", |llm| llm.id.as_str());
        for entry in entries {
            let query = dataset.queries.get(entry.query as usize).map_or(0, |query| query.id).to_string();
            let value = entry.value.to_string();
            let (kind, against) = match entry.kind {
                SignalKind::Rating => ("rating", ""),
                SignalKind::Choice => ("choice", ""),
                SignalKind::Vote { against, .. } => ("vote", name(against)),
            };
            let fields = [user.id.as_str(), &query, name(entry.llm), &value, kind, against];
            let fields = match self.layout {
                Layout::Ratings => fields.get(..4).unwrap_or_default(),
                Layout::Signals => &fields,
            };
            self.interactions.record(fields)?;
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
        let name = record.text(id)?.to_owned();
        if let Some(line) = lines.insert(name.clone(), record.line) {
            return Err(record.location(Some(id)).error(format!("each user once (first on line {line})"), name));
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
        false => Err(record.location(Some(column)).error("a preference from 0 to 1", number.to_string())),
    }
}

/// Reads a yes or no: 1 or 0.
pub(crate) fn flag(record: &Record<'_>, column: usize) -> Result<f64, DataError> {
    let number = record.number(column)?;
    match number == 0.0 || number == 1.0 {
        true => Ok(number),
        false => Err(record.location(Some(column)).error("0 or 1", number.to_string())),
    }
}

/// Reads interactions of `users` with queries and LLMs of `dataset`.
pub(crate) fn read_interactions(
    file: &Path,
    dataset: &Dataset,
    users: Vec<UserInfo>,
) -> Result<Interactions, DataError> {
    let mut records = Records::open(file)?;
    let columns = Columns::new(&records, dataset, &users)?;
    let mut interactions = InteractionBuilder::default();
    interactions.begin(file);
    while let Some(record) = records.next()? {
        let (user, entry) = columns.read(&record)?;
        interactions.push(user, entry, record.line);
    }
    interactions.group(users)
}

/// Columns of a file of interactions, and what may stand in them.
struct Columns<'a> {
    user: usize,
    query: usize,
    llm: usize,
    reward: usize,
    kind: Option<usize>,
    against: Option<usize>,
    users: HashMap<String, usize>,
    queries: HashMap<u64, u32>,
    llms: HashMap<&'a str, u16>,
}

impl<'a> Columns<'a> {
    fn new(records: &Records, dataset: &'a Dataset, users: &[UserInfo]) -> Result<Self, DataError> {
        Ok(Self {
            user: records.column("user_id")?,
            query: records.column("query_id")?,
            llm: records.column("llm")?,
            reward: records.column("reward")?,
            kind: records.optional("kind"),
            against: records.optional("against"),
            users: positions(users.iter().map(|user| user.id.as_str())),
            queries: dataset.queries.iter().map(|query| query.id).zip(0..).collect(),
            llms: dataset.llms.iter().map(|llm| llm.id.as_str()).zip(0..).collect(),
        })
    }

    /// Returns the user's position and the signal of a row.
    #[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
    fn read(&self, record: &Record<'_>) -> Result<(usize, Interaction), DataError> {
        let (name, id) = (record.text(self.user)?, record.whole(self.query)?);
        let unknown =
            |column, expected: &str, found: &str| record.location(Some(column)).error(expected, format!("`{found}`"));
        let user = self.users.get(name).ok_or_else(|| unknown(self.user, "a user of users.csv", name))?;
        let query = self.queries.get(&id);
        let query = query.ok_or_else(|| unknown(self.query, "a query of queries.csv", &id.to_string()))?;
        let llm = self.llm(record, self.llm)?;
        let (kind, value) = self.signal(record, llm)?;
        Ok((*user, Interaction { query: *query, llm, value: value as f32, kind }))
    }

    fn llm(&self, record: &Record<'_>, column: usize) -> Result<u16, DataError> {
        let name = record.text(column)?;
        let found = self.llms.get(name).copied();
        found.ok_or_else(|| record.location(Some(column)).error("an LLM of llms.json", format!("`{name}`")))
    }

    fn signal(&self, record: &Record<'_>, llm: u16) -> Result<(SignalKind, f64), DataError> {
        let Some(kind) = self.kind else { return Ok((SignalKind::Rating, record.number(self.reward)?)) };
        match record.bytes(kind) {
            b"rating" => Ok((SignalKind::Rating, record.number(self.reward)?)),
            b"choice" => Ok((SignalKind::Choice, flag(record, self.reward)?)),
            b"vote" => self.vote(record, llm),
            other => {
                let found = format!("`{}`", String::from_utf8_lossy(other));
                Err(record.location(Some(kind)).error("rating, choice or vote", found))
            }
        }
    }

    /// Reads a vote; on which side an answer stood, this layout does not say.
    fn vote(&self, record: &Record<'_>, llm: u16) -> Result<(SignalKind, f64), DataError> {
        let Some(column) = self.against else {
            return Err(record.location(None).error("a column `against` for votes", "none"));
        };
        let against = self.llm(record, column)?;
        if against == llm {
            let found = format!("`{}`", record.text(column)?);
            return Err(record.location(Some(column)).error("another LLM than `llm`", found));
        }
        let value = record.number(self.reward)?;
        match [0.0, 0.5, 1.0].contains(&value) {
            true => Ok((SignalKind::Vote { against, is_left: false }, value)),
            false => Err(record.location(Some(self.reward)).error("0, 0.5 or 1 of a vote", value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
