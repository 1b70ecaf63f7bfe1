//! User–query–LLM edges with their rewards, grouped by user and query.

use crate::data::{Entry, Interactions};
use crate::train::seed::Rng;

/// One in this many groups of a user is kept for validation.
const VALIDATION_SHARE: u64 = 10;

/// All rated answers in compressed sparse rows: user → groups → edges.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    groups: Vec<Group>,
    offsets: Vec<usize>,
    edges: Vec<Edge>,
}

/// The answers of one query that one user rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Index of the query.
    pub query: u32,
    /// Index of its task.
    pub task: u32,
    /// Kept for validation: neither seen nor predicted while training.
    pub validation: bool,
    start: usize,
    end: usize,
}

/// One rated answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Index of the LLM.
    pub llm: u16,
    /// The user's reward.
    pub reward: f32,
    /// Reward minus the mean of the group; 0 when alone.
    pub relative: f32,
}

impl Edges {
    /// Groups `interactions`; about a tenth of each user's groups become validation, chosen by `seed`.
    pub fn build(interactions: &Interactions, task_of: &[u32], seed: u64) -> Self {
        let mut built = Self { offsets: vec![0], ..Self::default() };
        for user in 0..interactions.users.len() {
            let entries = interactions.of(user);
            for chunk in entries.chunk_by(|a, b| a.query == b.query) {
                let Some(first) = chunk.first() else { continue };
                let mut rng = Rng::new(seed, &[1, user as u64, u64::from(first.query)]);
                // A user with a handful of queries needs all of them.
                let validation = entries.len() > chunk.len() * 4 && rng.below(VALIDATION_SHARE) == 0;
                let task = task_of.get(first.query as usize).copied().unwrap_or(0);
                built.push(chunk, task, validation);
            }
            built.offsets.push(built.groups.len());
        }
        built
    }

    /// Returns the number of users.
    pub fn users(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns all edges of all users.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Returns whether there is no edge.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Returns the groups of one user; empty for a user that does not exist.
    pub fn groups(&self, user: usize) -> &[Group] {
        let bounds = self.offsets.get(user).zip(self.offsets.get(user + 1));
        bounds.and_then(|(&start, &end)| self.groups.get(start..end)).unwrap_or_default()
    }

    /// Returns the edges of one group.
    pub fn of(&self, group: &Group) -> &[Edge] {
        self.edges.get(group.start..group.end).unwrap_or_default()
    }

    /// Returns every group with its user.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Group)> {
        (0..self.users()).flat_map(|user| self.groups(user).iter().map(move |group| (user, group)))
    }

    fn push(&mut self, entries: &[Entry], task: u32, validation: bool) {
        let start = self.edges.len();
        let mean = entries.iter().map(|entry| entry.reward).sum::<f32>() / entries.len().max(1) as f32;
        let relative = |entry: &Entry| if entries.len() > 1 { entry.reward - mean } else { 0.0 };
        self.edges.extend(entries.iter().map(|entry| Edge {
            llm: entry.llm,
            reward: entry.reward,
            relative: relative(entry),
        }));
        let query = entries.first().map_or(0, |entry| entry.query);
        self.groups.push(Group { query, task, validation, start, end: self.edges.len() });
    }
}
