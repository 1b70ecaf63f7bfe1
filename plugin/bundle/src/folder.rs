//! A bundle: opens it from a folder or from memory, verifies it, writes it.

mod verify;
mod writer;

use std::path::Path;

pub use self::writer::BundleWriter;
use crate::catalog::{Catalog, Tasks};
use crate::error::{BundleError, Fields};
use crate::layout::{LLMS, MANIFEST, TASKS, USER_INDEX, USER_ROWS};
use crate::manifest::Manifest;
use crate::source::{BundleSource, Content};
use crate::users::UserTable;

/// An opened bundle, whose files have been compared with the checksums in its manifest.
///
/// The catalog, the tasks and the user table are in memory: changes of their files do not affect an opened bundle.
///
/// ```no_run
/// use personaroute_bundle::folder::Bundle;
///
/// let bundle = Bundle::open("configs/bundle")?;
/// println!("{} LLMs, {} users", bundle.catalog.llms.len(), bundle.users.len());
/// # Ok::<(), personaroute_bundle::BundleError>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    /// The content of `manifest.yaml`.
    pub manifest: Manifest,
    /// The LLMs, in the order of the scorer's columns.
    pub catalog: Catalog,
    /// The tasks, in the order of the scorer's task columns.
    pub tasks: Tasks,
    /// The user table.
    pub users: UserTable,
    /// Where the files are.
    pub source: BundleSource,
}

impl Bundle {
    /// Opens a bundle: checks the manifest, compares every listed file with its SHA-256, and reads the catalog, the tasks
    /// and the user table into memory.
    ///
    /// Files are read once and verified in parallel.
    ///
    /// # Errors
    ///
    /// [`BundleError::Checksum`] with the first file that was changed, [`BundleError::Read`], or
    /// [`BundleError::Field`] and [`BundleError::Syntax`] with the file and the field that this version refuses.
    pub fn open(source: impl Into<BundleSource>) -> Result<Self, BundleError> {
        let source = source.into();
        let manifest_file = source.path(MANIFEST);
        let manifest = Manifest::parse(&source.read(MANIFEST)?, &manifest_file)?;
        let mut contents = verify::verify_files(&source, &manifest.files, &[LLMS, TASKS, USER_INDEX, USER_ROWS])?;
        // The manifest lists each of them, which `Manifest::parse` checks.
        let mut take = |name| contents.remove(name).unwrap_or_default();
        let llms = source.path(LLMS);
        let catalog = Catalog::parse(&take(LLMS), &llms)?;
        check_count(&llms, "llms", manifest.llms, catalog.llms.len())?;
        let tasks_file = source.path(TASKS);
        let tasks = Tasks::parse(&take(TASKS), &tasks_file)?;
        check_count(&tasks_file, "tasks", manifest.tasks, tasks.tasks.len())?;
        let users = UserTable::from_contents(take(USER_ROWS), take(USER_INDEX), &source)?;
        let embedding = format!("rows of {} values as in {MANIFEST}", manifest.user_dim);
        let dim = users.dim();
        Fields::of(&source.path(USER_ROWS)).check("embedding", dim == manifest.user_dim, embedding, dim)?;
        Ok(Self { manifest, catalog, tasks, users, source })
    }

    /// Opens a bundle as [`Self::open`] does, and also refuses files that the manifest does not list.
    ///
    /// # Errors
    ///
    /// Every error of [`Self::open`]; [`BundleError::Field`] with the name of an unlisted file.
    pub fn verify(source: impl Into<BundleSource>) -> Result<Self, BundleError> {
        let bundle = Self::open(source)?;
        let fields_file = bundle.source.path(MANIFEST);
        for name in bundle.source.list()? {
            let is_listed = name == MANIFEST || bundle.manifest.files.contains_key(&name);
            let found = format_args!("none for {name}");
            Fields::of(&fields_file).check("files", is_listed, "an entry for every file", found)?;
        }
        Ok(bundle)
    }

    /// Reads a file that the manifest lists, such as `scorer.onnx`, and verifies what it read.
    ///
    /// # Errors
    ///
    /// [`BundleError::Read`], [`BundleError::Checksum`], or [`BundleError::Field`] when the manifest does not list it.
    pub fn read(&self, name: &str) -> Result<Content, BundleError> {
        verify::read_verified(&self.source, &self.manifest.files, name)
    }
}

fn check_count(file: &Path, field: &str, expected: usize, found: usize) -> Result<(), BundleError> {
    Fields::of(file).check(field, expected == found, format_args!("{expected} as in {MANIFEST}"), found)
}

#[cfg(test)]
mod tests;
