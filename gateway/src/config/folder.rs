//! The folder of a configuration file, to which its paths are relative.

use std::path::{Path, PathBuf};

use super::error::{Error, Rejection};

/// The folder of a configuration file, to which its paths are relative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a> {
    file: &'a Path,
}

impl<'a> Folder<'a> {
    pub(super) fn of(file: &'a Path) -> Self {
        Self { file }
    }

    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().map_or_else(|| path.to_path_buf(), |folder| folder.join(path))
    }

    pub(super) fn invalid(&self, rejection: Rejection) -> Error {
        Error::invalid(self.file, rejection)
    }
}
