//! Errors in data files: each names the file, the line and column as far as known, and what was expected.

use std::fmt;
use std::io;
use std::path::Path;

/// A file that cannot be read, or is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read")]
    Read {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{file}: cannot be written")]
    Write {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A folder lacks a file.
    #[error("{folder}: expected a file {expected}")]
    Missing {
        /// The folder.
        folder: String,
        /// The names that are looked for.
        expected: String,
    },
    /// A value is not what was expected at its location.
    #[error("{location}: expected {expected}, found {found}")]
    Value {
        /// File, and as far as known line and column.
        location: Location,
        /// What was expected.
        expected: String,
        /// What was found, shortened.
        found: String,
    },
}

/// File, line and column of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: String,
    /// Line where the record begins, from 1.
    pub line: Option<u64>,
    /// Name of the column.
    pub column: Option<String>,
}

impl DataError {
    /// Wraps an I/O error of reading `file`.
    pub fn read(file: &Path, source: io::Error) -> Self {
        Self::Read { file: file.display().to_string(), source }
    }

    /// Wraps an I/O error of writing `file`.
    pub fn write(file: &Path, source: io::Error) -> Self {
        Self::Write { file: file.display().to_string(), source }
    }

    /// Reports a whole file that is not what it should be.
    pub fn format(file: &Path, expected: impl Into<String>, found: impl AsRef<str>) -> Self {
        let location = Location { file: file.display().to_string(), line: None, column: None };
        Self::Value { location, expected: expected.into(), found: shorten(found.as_ref()) }
    }

    /// Reports that `folder` holds none of the files `expected` names.
    pub fn missing(folder: &Path, expected: impl Into<String>) -> Self {
        Self::Missing { folder: folder.display().to_string(), expected: expected.into() }
    }
}

impl Location {
    /// Returns the error of a value at this location.
    pub fn error(self, expected: impl Into<String>, found: impl AsRef<str>) -> DataError {
        DataError::Value { location: self, expected: expected.into(), found: shorten(found.as_ref()) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        match &self.column {
            Some(column) => write!(f, ", column `{column}`"),
            None => Ok(()),
        }
    }
}

/// Returns at most 60 characters: data may hold whole prompts, which do not belong in messages.
fn shorten(text: &str) -> String {
    const LIMIT: usize = 60;
    let short: String = text.chars().take(LIMIT).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", short.replace('\n', " "))
}
