//! The error of this crate: every variant names the file, and the field where there is one.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Why a bundle cannot be read, is refused, or cannot be written.
///
/// ```
/// use personaroute_bundle::BundleError;
/// use personaroute_bundle::catalog::Catalog;
///
/// let refused = Catalog::parse("llms: []".as_bytes(), "llms.yaml".as_ref()).err();
/// assert_eq!(refused.map(|error| error.to_string()).as_deref(), Some("llms.yaml: llms: expected at least one, found 0"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is missing or cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file or folder cannot be written.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file has invalid syntax: YAML with an error, an unknown or missing key, a damaged tensor file.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column in a text file.
        message: String,
    },
    /// A field has a value that this version does not support.
    #[error("{}: {field}: expected {expected}, found {found}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The path of the field, with dots.
        field: String,
        /// The accepted values.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// The folder is not replaced, because it has a file that no bundle has.
    #[error("{}: not replaced by a bundle, because it has the file {file}: name another folder or move the file", dir.display())]
    NotABundle {
        /// The folder.
        dir: PathBuf,
        /// The file, relative to the folder.
        file: String,
    },
    /// The content of the file does not match the manifest's checksum.
    #[error("{}: sha256: expected {expected} as in manifest.yaml, found {found}", file.display())]
    Checksum {
        /// The file.
        file: PathBuf,
        /// The manifest's checksum, in hexadecimal.
        expected: String,
        /// The file's checksum, in hexadecimal.
        found: String,
    },
}

impl BundleError {
    /// Returns the error of a field whose value is not accepted.
    pub(crate) fn field(file: &Path, field: impl Display, expected: impl Display, found: impl Display) -> Self {
        Self::Field {
            file: file.into(),
            field: field.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub(crate) fn syntax(file: &Path, message: impl Display) -> Self {
        Self::Syntax { file: file.into(), message: message.to_string() }
    }

    pub(crate) fn read(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        |source| Self::Read { file, source }
    }

    pub(crate) fn write(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        |source| Self::Write { file, source }
    }
}

/// Checks the fields of one file.
pub(crate) struct Fields<'file> {
    file: &'file Path,
}

impl<'file> Fields<'file> {
    pub(crate) fn of(file: &'file Path) -> Self {
        Self { file }
    }

    /// Refuses `field` unless `accepted`.
    pub(crate) fn check(
        &self,
        field: impl Display,
        accepted: bool,
        expected: impl Display,
        found: impl Display,
    ) -> Result<(), BundleError> {
        if accepted { Ok(()) } else { Err(BundleError::field(self.file, field, expected, found)) }
    }

    /// Refuses `field` unless it equals `expected`.
    pub(crate) fn equal<T: PartialEq + Display + ?Sized>(
        &self,
        field: impl Display,
        expected: &T,
        found: &T,
    ) -> Result<(), BundleError> {
        self.check(field, expected == found, expected, found)
    }
}
