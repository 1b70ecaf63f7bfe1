//! Reads votes: pairwise choices of real people (`votes.csv` beside `queries.csv` and `llms.json`).

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::csv::{Record, Records};
use super::error::DataError;
use super::hash::{Domain, h};
use super::outcome::{embeddings, positions, query_embeddings, read_queries};
use super::{Dataset, Interaction, Interactions, SignalKind, UserInfo, fingerprint, llm, open};

/// Name of the file that makes a folder one of votes.
pub const VOTES: &str = "votes.csv";
/// Votes a user must have for some of them to be test votes.
const FREQUENT: usize = 20;
/// One in so many votes of a frequent user is a test vote.
const TEST_SHARE: u64 = 5;
/// Parts of the training votes that take turns in choosing ridges.
pub const FOLDS: u64 = 4;
/// Parts of all votes that take turns in being predicted.
pub const PAIR_FOLDS: u64 = 5;

/// Votes, and what they are about.
#[derive(Debug, Clone, PartialEq)]
pub struct Votes {
    /// LLMs, tasks and queries; no outcome is known.
    pub dataset: Dataset,
    /// Users in the order of their first vote.
    pub users: Vec<UserInfo>,
    /// Votes in the order of the file.
    pub votes: Vec<Vote>,
}

/// One choice between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Index of the user.
    pub user: u32,
    /// Index of the query.
    pub query: u32,
    /// Index of the LLM whose answer stood left.
    pub left: u16,
    /// Index of the LLM whose answer stood right.
    pub right: u16,
    /// Which answer was liked better.
    pub winner: Winner,
}

/// Which answer was liked better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// Neither.
    Tie,
}

/// Which votes are learned from and which are predicted, as positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VoteSplit {
    /// Training votes.
    pub train: Vec<usize>,
    /// Test votes, ties among them.
    pub test: Vec<usize>,
    /// For each vote the fold it belongs to, 0 to [`FOLDS`]` - 1`, and whether its user is frequent.
    pub folds: Vec<(u64, bool)>,
}

impl Winner {
    /// Returns the left answer's share of the win: 1, 0, or ½ for a tie.
    pub fn share(self) -> f64 {
        match self {
            Self::Left => 1.0,
            Self::Right => 0.0,
            Self::Tie => 0.5,
        }
    }

    /// Returns the same as the value of an interaction.
    pub fn value(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => 0.0,
            Self::Tie => 0.5,
        }
    }

    /// Returns what it is with the sides exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Tie => Self::Tie,
        }
    }
}

/// A judge's verdicts: by query, left and right LLM.
pub type Verdicts = HashMap<(u32, u16, u16), Winner>;

/// Returns whether a folder holds votes.
pub fn is_votes(folder: &Path) -> bool {
    open::find(folder, VOTES).is_some()
}

/// Reads a folder of votes; `families` are name parts of LLMs that belong together.
pub fn read(folder: &Path, families: &[String]) -> Result<Votes, DataError> {
    let file = open::require(folder, VOTES)?;
    let dataset = about(folder, families)?;
    let mut records = Records::open(&file)?;
    let user = records.column("user_id")?;
    let columns = Columns::of(&records, &dataset)?;
    let (mut users, mut rows): (Vec<UserInfo>, HashMap<String, u32>) = (Vec::new(), HashMap::new());
    let mut votes = Vec::new();
    while let Some(record) = records.next()? {
        let name = record.text(user)?;
        if name.is_empty() {
            return Err(record.location(Some(user)).error("a user", "nothing"));
        }
        let next = u32::try_from(users.len()).unwrap_or(u32::MAX);
        let row = *rows.entry(name.to_owned()).or_insert(next);
        if row == next {
            users.push(UserInfo { id: name.to_owned(), preference: None });
        }
        let (query, [left, right], winner) = columns.read(&record)?;
        votes.push(Vote { user: row, query, left, right, winner });
    }
    if votes.is_empty() {
        return Err(DataError::format(&file, "at least one vote", "none"));
    }
    let mut votes = Votes { dataset, users, votes };
    votes.dataset.fingerprint = votes.fingerprint();
    Ok(votes)
}

/// Reads the verdicts of a judge on the same pairs; nothing where the folder has none.
pub fn verdicts(folder: &Path, name: &str, dataset: &Dataset) -> Result<Option<Verdicts>, DataError> {
    let Some(file) = open::find(folder, name) else { return Ok(None) };
    let mut records = Records::open(&file)?;
    let columns = Columns::of(&records, dataset)?;
    let mut verdicts = Verdicts::new();
    while let Some(record) = records.next()? {
        let (query, [left, right], winner) = columns.read(&record)?;
        verdicts.insert((query, left, right), winner);
        verdicts.insert((query, right, left), winner.swapped());
    }
    Ok(Some(verdicts))
}

impl Votes {
    /// Splits as the protocol says: of users with at least 20 votes, every vote whose hash is a multiple of 5 is test.
    pub fn split(&self) -> VoteSplit {
        let mut counts = vec![0_u64; self.users.len()];
        let numbers: Vec<u64> = self.users.iter().map(|user| number(&user.id)).collect();
        let places: Vec<u64> = self.votes.iter().map(|vote| place(&mut counts, vote.user)).collect();
        let mut split = VoteSplit::default();
        for (at, (vote, place)) in self.votes.iter().zip(places).enumerate() {
            let own = numbers.get(vote.user as usize).copied().unwrap_or(0);
            let frequent = counts.get(vote.user as usize).is_some_and(|&count| count >= FREQUENT as u64);
            let test = frequent && h(0, Domain::Vote, own, place).is_multiple_of(TEST_SHARE);
            split.folds.push((h(0, Domain::VoteFold, own, place) % FOLDS, frequent));
            if test { &mut split.test } else { &mut split.train }.push(at);
        }
        split
    }

    /// Returns the votes as interactions of their users: the left LLM against the right one.
    pub fn interactions(&self) -> Interactions {
        let mut own: Vec<Vec<Interaction>> = vec![Vec::new(); self.users.len()];
        for vote in &self.votes {
            let kind = SignalKind::Vote { against: vote.right, is_left: true };
            let entry = Interaction { query: vote.query, llm: vote.left, value: vote.winner.value(), kind };
            if let Some(own) = own.get_mut(vote.user as usize) {
                own.push(entry);
            }
        }
        let mut all = Interactions { users: self.users.clone(), offsets: vec![0], entries: Vec::new() };
        for mut entries in own {
            entries.sort_by_key(Interaction::key);
            all.entries.append(&mut entries);
            all.offsets.push(all.entries.len());
        }
        all
    }

    /// Returns the fold of each vote, 0 to [`PAIR_FOLDS`]` - 1`, and whether its user is tested at all.
    ///
    /// All votes of a user on a query are in one fold: no model is tested on an answer that the same user compared in its
    /// training votes. Users are numbered in the order of their ids, numbers before words.
    pub fn pair_folds(&self) -> Vec<(u64, bool)> {
        let mut order: Vec<usize> = (0..self.users.len()).collect();
        order.sort_by_cached_key(|&user| self.users.get(user).map(|user| order_key(&user.id)));
        let mut numbers = vec![0_u64; order.len()];
        for (number, user) in (0..).zip(order) {
            if let Some(place) = numbers.get_mut(user) {
                *place = number;
            }
        }
        let mut counts = vec![0_u64; self.users.len()];
        for vote in &self.votes {
            place(&mut counts, vote.user);
        }
        let fold = |vote: &Vote| {
            let number = numbers.get(vote.user as usize).copied().unwrap_or(0);
            let query = self.dataset.queries.get(vote.query as usize).map_or(0, |query| query.id);
            let is_frequent = counts.get(vote.user as usize).is_some_and(|&count| count >= FREQUENT as u64);
            (h(0, Domain::VotePair, number, query) % PAIR_FOLDS, is_frequent)
        };
        self.votes.iter().map(fold).collect()
    }

    /// The data set's own fingerprint says nothing of the votes.
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(fingerprint::of(&self.dataset));
        for vote in &self.votes {
            hash.update(self.users.get(vote.user as usize).map_or("", |user| user.id.as_str()));
            hash.update(vote.query.to_le_bytes());
            hash.update(vote.left.to_le_bytes());
            hash.update(vote.right.to_le_bytes());
            hash.update([vote.winner as u8]);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns how many votes of this user came before, and counts one more.
fn place(counts: &mut [u64], user: u32) -> u64 {
    let Some(count) = counts.get_mut(user as usize) else { return 0 };
    *count += 1;
    *count - 1
}

/// Returns the place of an id among others: numbers by their value, then words.
fn order_key(id: &str) -> (u64, String) {
    (id.parse().unwrap_or(u64::MAX), id.to_owned())
}

/// Returns the number that stands for a user in hashes: the id itself where it is one, else its FNV-1a hash.
fn number(id: &str) -> u64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    id.parse().unwrap_or_else(|_| id.bytes().fold(0xCBF2_9CE4_8422_2325, hash))
}

fn about(folder: &Path, families: &[String]) -> Result<Dataset, DataError> {
    let llms = llm::read(&open::require(folder, "llms.json")?, families)?;
    let (queries, tasks) = read_queries(folder)?;
    let names = |ids: Vec<&str>, file: &str| embeddings(folder, file, &ids);
    let unknown = Array2::from_elem((queries.len(), llms.len()), f32::NAN);
    Ok(Dataset {
        name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
        llm_embeddings: names(llms.iter().map(|llm| llm.id.as_str()).collect(), "llm_embeddings.json")?,
        task_embeddings: names(tasks.iter().map(|task| task.name.as_str()).collect(), "task_embeddings.json")?,
        query_embeddings: query_embeddings(folder, queries.len())?,
        effect: unknown.clone(),
        cost: unknown,
        llms,
        tasks,
        queries,
        fingerprint: String::new(),
    })
}

/// Columns that votes and verdicts share, and what may stand in them.
struct Columns {
    query: usize,
    sides: [usize; 2],
    winner: usize,
    queries: HashMap<u64, u32>,
    llms: HashMap<String, usize>,
}

impl Columns {
    fn of(records: &Records, dataset: &Dataset) -> Result<Self, DataError> {
        Ok(Self {
            query: records.column("query_id")?,
            sides: [records.column("llm_left")?, records.column("llm_right")?],
            winner: records.column("winner")?,
            queries: dataset.queries.iter().map(|query| query.id).zip(0..).collect(),
            llms: positions(dataset.llms.iter().map(|llm| llm.id.as_str())),
        })
    }

    fn read(&self, record: &Record<'_>) -> Result<(u32, [u16; 2], Winner), DataError> {
        let id = record.whole(self.query)?;
        let query = self.queries.get(&id).copied();
        let query =
            query.ok_or_else(|| record.location(Some(self.query)).error("a query of queries.csv", id.to_string()))?;
        let [first, second] = self.sides;
        let (left, right) = (self.llm(record, first)?, self.llm(record, second)?);
        if left == right {
            let found = record.text(second)?;
            return Err(record.location(Some(second)).error("another LLM than llm_left", format!("`{found}`")));
        }
        let winner = match record.text(self.winner)? {
            "left" => Winner::Left,
            "right" => Winner::Right,
            "tie" => Winner::Tie,
            other => {
                return Err(record.location(Some(self.winner)).error("left, right or tie", format!("`{other}`")));
            }
        };
        Ok((query, [left, right], winner))
    }

    fn llm(&self, record: &Record<'_>, column: usize) -> Result<u16, DataError> {
        let name = record.text(column)?;
        let found = self.llms.get(name).and_then(|&row| u16::try_from(row).ok());
        found.ok_or_else(|| record.location(Some(column)).error("an LLM of llms.json", format!("`{name}`")))
    }
}

#[cfg(test)]
mod tests;
