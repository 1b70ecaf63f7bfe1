//! What is learned from users, how long it is kept, and where.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use super::{
    State,
    error::Rejection,
    folder::Folder,
    range::{bytes, count, duration, value},
    raw,
};

/// Most decisions that are kept without a file: they would grow the process by some hundred bytes each.
const MAX_DECISIONS_IN_MEMORY: usize = 10_000;

/// Most signals that one adaptation takes: the host's limit.
const MAX_HISTORY: usize = 4_096;

/// Where decisions and signals are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum LearningStore {
    /// In memory, until the process ends.
    Memory,
    /// In a file.
    File(PathBuf),
}

/// What is learned; the keys of the file have the same names.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Where decisions and signals are kept.
    pub store: LearningStore,
    /// How long a decision can be given feedback.
    pub window: Duration,
    /// How long signals are kept.
    pub retention: Duration,
    /// The age at which a signal weighs half.
    pub half_life: Duration,
    /// Most signals that shape a profile.
    pub history: usize,
    /// Most decisions.
    pub max_decisions: usize,
    /// Most decisions of one user.
    pub max_user_decisions: usize,
    /// Most signals of one user.
    pub max_user_signals: usize,
    /// Most profiles in memory.
    pub max_profiles: u64,
    /// Most signals of one user in a minute.
    pub signals_per_minute: u32,
    /// Most bytes of a feedback.
    pub body: usize,
    /// Most waiting writes.
    pub queue: usize,
    /// Most time that a request waits for its user's profile.
    pub timeout: Duration,
}

impl Learning {
    /// Checks the section beside `state`; returns none when learning is switched off.
    pub(super) fn check(raw: &raw::Learning, state: &State, folder: &Folder<'_>) -> Result<Option<Self>, Rejection> {
        let history = count("learning.history", &raw.history)?;
        if history > MAX_HISTORY {
            return Err(raw.history.reject(value("learning.history", "must be at most 4096", history)));
        }
        let store = store(raw, state, folder)?;
        let max_decisions = count("learning.max_decisions", &raw.max_decisions)?;
        let days = count("learning.retention_days", &raw.retention_days)?;
        let checked = Self {
            window: duration("learning.window", &raw.window)?,
            retention: Duration::from_secs(u64::from(days) * 24 * 3600),
            half_life: duration("learning.half_life", &raw.half_life)?,
            history,
            max_decisions: match store {
                LearningStore::Memory => max_decisions.min(MAX_DECISIONS_IN_MEMORY),
                LearningStore::File(_) => max_decisions,
            },
            max_user_decisions: count("learning.max_user_decisions", &raw.max_user_decisions)?,
            max_user_signals: count("learning.max_user_signals", &raw.max_user_signals)?,
            max_profiles: count("learning.max_profiles", &raw.max_profiles)?,
            signals_per_minute: count("learning.signals_per_minute", &raw.signals_per_minute)?,
            body: bytes("learning.body", &raw.body)?,
            queue: count("learning.queue", &raw.queue)?,
            timeout: duration("learning.timeout", &raw.timeout)?,
            store,
        };
        Ok(raw.enabled.then_some(checked))
    }
}

fn store(raw: &raw::Learning, state: &State, folder: &Folder<'_>) -> Result<LearningStore, Rejection> {
    if let Some(file) = &raw.file {
        let path = folder.resolve(&file.value);
        if state.file.as_ref() == Some(&path) {
            return Err(file.reject(value("learning.file", "must be another file than `state.file`", path.display())));
        }
        return Ok(LearningStore::File(path));
    }
    Ok(match &state.file {
        Some(file) => {
            let mut name = OsString::from(file);
            name.push(".learning");
            LearningStore::File(PathBuf::from(name))
        }
        None => LearningStore::Memory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn read(more: &str) -> Result<Option<Learning>, String> {
        let text = format!(
            "version: 1\nupstreams: [{{name: u, kind: simulated}}]\nmodels: [{{llm: a, upstream: u}}]\n{more}\n"
        );
        let loaded = parse(std::path::Path::new("/etc/f.yaml"), &text, &|_| None);
        loaded.map(|loaded| loaded.config.learning).map_err(|error| error.to_string())
    }

    #[test]
    fn decisions_are_kept_beside_the_state_or_in_memory() {
        let store = |more| read(more).unwrap().unwrap().store;
        assert_eq!(store(""), LearningStore::Memory);
        assert_eq!(store("state: {file: s.redb}"), LearningStore::File("/etc/s.redb.learning".into()));
        assert_eq!(store("learning: {file: /l}"), LearningStore::File("/l".into()));
        assert_eq!(store("state: {shared: {url: 'redis://h'}}"), LearningStore::Memory);
        assert_eq!(read("learning: {enabled: false}").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (more, expected) in [
            ("history: 0", "`learning.history` must be at least 1"),
            ("history: 5000", "`learning.history` must be at most 4096"),
            ("window: 0s", "`learning.window` must be longer than 0"),
            ("retention_days: 0", "`learning.retention_days` must be at least 1"),
            ("body: 0", "`learning.body` must be at least 1"),
            ("file: s.redb", "`learning.file` must be another file than `state.file`"),
        ] {
            let found = read(&format!("state: {{file: s.redb}}\nlearning: {{{more}}}")).unwrap_err();
            assert!(found.contains(expected), "{more}: {found}");
        }
    }
}
