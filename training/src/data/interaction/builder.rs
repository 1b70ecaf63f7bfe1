//! Builds interactions from rows in any order: groups them by user, query, kind and LLM, and refuses contradictions.

use std::path::{Path, PathBuf};

use super::{Interaction, Interactions};
use crate::data::UserInfo;
use crate::data::error::{DataError, Location};

/// Interactions in the order they were read, with the lines they stand on.
#[derive(Debug, Default)]
pub struct InteractionBuilder {
    files: Vec<(usize, PathBuf)>,
    users: Vec<u32>,
    lines: Vec<u32>,
    entries: Vec<Interaction>,
}

impl InteractionBuilder {
    /// Declares that the following interactions stand in `file`.
    pub fn begin(&mut self, file: &Path) {
        self.files.push((self.entries.len(), file.to_owned()));
    }

    /// Adds an interaction of user `user` from line `line`.
    pub fn push(&mut self, user: usize, entry: Interaction, line: u64) {
        self.users.push(u32::try_from(user).unwrap_or(u32::MAX));
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        self.entries.push(entry);
    }

    /// Returns the entries, to be renumbered before grouping.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = (&mut u32, &mut Interaction)> {
        self.users.iter_mut().zip(&mut self.entries)
    }

    /// Groups by user, then query, kind and LLM: a counting sort, and a sort of each user's few entries.
    pub fn group(&self, users: Vec<UserInfo>) -> Result<Interactions, DataError> {
        let offsets = self.offsets(users.len());
        let mut next = offsets.clone();
        let mut entries = vec![Interaction::rating(0, 0, 0.0); self.entries.len()];
        for (&user, &entry) in self.users.iter().zip(&self.entries) {
            let Some(at) = next.get_mut(user as usize) else { continue };
            if let Some(place) = entries.get_mut(*at) {
                *place = entry;
            }
            *at += 1;
        }
        for (user, bounds) in (0_u32..).zip(offsets.windows(2)) {
            let &[start, end] = bounds else { continue };
            let own = entries.get_mut(start..end).unwrap_or_default();
            own.sort_by_key(Interaction::key);
            // Repeated votes are further evidence; a second rating or choice of one answer contradicts the first.
            let twice = own.windows(2).find(|pair| matches!(pair, [a, b] if a.key() == b.key() && !a.kind.is_vote()));
            if let Some(entry) = twice.and_then(|pair| pair.first()) {
                let location = self.second(user, entry);
                return Err(location.error("one reward for each user, query and LLM", "a second"));
            }
        }
        Ok(Interactions { users, offsets, entries })
    }

    fn offsets(&self, users: usize) -> Vec<usize> {
        let mut offsets = vec![0_usize; users + 1];
        for &user in &self.users {
            if let Some(count) = offsets.get_mut(user as usize + 1) {
                *count += 1;
            }
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        offsets
    }

    /// Returns the location of the second row of an entry.
    fn second(&self, user: u32, entry: &Interaction) -> Location {
        let same = |(at, (&other, found)): (usize, (&u32, &Interaction))| {
            (other == user && found.key() == entry.key()).then_some(at)
        };
        let at = self.users.iter().zip(&self.entries).enumerate().filter_map(same).nth(1).unwrap_or(0);
        let file = self.files.iter().rev().find(|(begin, _)| *begin <= at);
        Location {
            file: file.map(|(_, file)| file.display().to_string()).unwrap_or_default(),
            line: self.lines.get(at).copied().map(u64::from),
            column: None,
        }
    }
}
