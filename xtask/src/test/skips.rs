//! Tests that were skipped on this machine: each appends its name and the reason to a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace;

/// The variable that names the file; `tests/harness/src/skip.rs` reads it.
pub(super) const VARIABLE: &str = "PERSONAROUTE_SKIPPED_TESTS";

/// A test that was skipped, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) test: String,
    pub(super) reason: String,
}

/// The file of one test run.
pub(super) struct Skips {
    file: PathBuf,
}

impl Skips {
    /// Creates an empty file in the build folder.
    pub(super) fn start() -> Result<Self> {
        let file = workspace::target()?.join("skipped-tests.tsv");
        fs::write(&file, "").with_context(|| file.display().to_string())?;
        Ok(Self { file })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the skipped tests, each once, by name.
    pub(super) fn read(&self) -> Result<Vec<Skipped>> {
        let text = fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        Ok(parse(&text))
    }
}

fn parse(text: &str) -> Vec<Skipped> {
    let reasons: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let skipped = reasons.into_iter();
    skipped.map(|(test, reason)| Skipped { test: test.to_owned(), reason: reason.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_with_two_reasons_is_counted_once() {
        let skipped = parse("it b\tno data\nit a\tno encoder\nit b\tno encoder\n");
        let tests: Vec<&str> = skipped.iter().map(|skipped| skipped.test.as_str()).collect();
        assert_eq!(tests, ["it a", "it b"]);
        assert_eq!(skipped[1].reason, "no encoder");
    }
}
