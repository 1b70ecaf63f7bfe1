//! The files of the repository, read once.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders that are not part of the source.
const EXCLUDED: &[&str] = &[".git", "target", ".venv"];

/// A text file: its path from the root, with `/`, and its content.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// Every file of the repository: those that are text, in order, and the paths of the others.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
    pub(super) binaries: Vec<String>,
}

impl Tree {
    /// Reads the tree under a root; files that are not UTF-8 are binaries.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.add(root, "")?;
        tree.sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.path.ends_with(".rs"))
    }

    /// The files under a folder, which is named with a trailing slash.
    pub(super) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(move |source| source.path.starts_with(folder))
    }

    /// The content of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.sources.iter().find(|source| source.path == path).map(|source| source.text.as_str())
    }

    fn add(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry.with_context(|| folder.display().to_string())?;
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let kind = entry.file_type().with_context(|| path.clone())?;
            if kind.is_dir() {
                if !EXCLUDED.iter().any(|excluded| name == OsStr::new(excluded)) {
                    self.add(&entry.path(), &format!("{path}/"))?;
                }
                continue;
            }
            match fs::read_to_string(entry.path()) {
                Ok(text) => self.sources.push(Source { path, text }),
                Err(_) => self.binaries.push(path),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of made-up files.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let sources = files.iter().map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() });
        Self { sources: sources.collect(), binaries: Vec::new() }
    }
}
