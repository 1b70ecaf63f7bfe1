//! The bundle as a folder: open it, verify it, write it.

mod writer;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::writer::BundleWriter;
use crate::catalog::{Catalog, Tasks};
use crate::digest::sha256_file;
use crate::error::{BundleError, Fields};
use crate::layout::{LLMS, MANIFEST, TASKS, USER_ROWS};
use crate::manifest::Manifest;
use crate::users::UserTable;

/// An opened bundle, checked except for the content of graphs and user rows.
///
/// ```no_run
/// use personaroute_bundle::folder::Bundle;
///
/// let bundle = Bundle::open("configs/bundle".as_ref())?;
/// println!("{} LLMs, {} users", bundle.catalog.llms.len(), bundle.users.len());
/// # Ok::<(), personaroute_bundle::BundleError>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    /// What the bundle says about itself.
    pub manifest: Manifest,
    /// Its LLMs.
    pub catalog: Catalog,
    /// Its tasks.
    pub tasks: Tasks,
    /// Its users.
    pub users: UserTable,
    /// Where it lies.
    pub dir: PathBuf,
}

impl Bundle {
    /// Opens the bundle in the folder `dir`: checks versions, fields, dimensions and the presence of every listed file.
    ///
    /// Costs the same for ten users and for ten million: checksums are left to [`Bundle::verify`].
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let file = dir.join(MANIFEST);
        let manifest = Manifest::parse(&read(&file)?, &file)?;
        for name in manifest.files.keys() {
            let listed = dir.join(name);
            fs::metadata(&listed).map_err(BundleError::read(&listed))?;
        }
        let llms = dir.join(LLMS);
        let catalog = Catalog::parse(&read(&llms)?, &llms)?;
        check_count(&llms, "llms", manifest.llms, catalog.llms.len())?;
        let tasks_file = dir.join(TASKS);
        let tasks = Tasks::parse(&read(&tasks_file)?, &tasks_file)?;
        check_count(&tasks_file, "tasks", manifest.tasks, tasks.tasks.len())?;
        let users = UserTable::open(dir)?;
        let embedding = format!("rows of {} values as in {MANIFEST}", manifest.user_dim);
        let rows = dir.join(USER_ROWS);
        Fields::of(&rows).check("embedding", users.dim() == manifest.user_dim, embedding, users.dim())?;
        Ok(Self { manifest, catalog, tasks, users, dir: dir.into() })
    }

    /// Opens the bundle and compares every file with its checksum; a file that the manifest does not list is refused.
    pub fn verify(dir: &Path) -> Result<Self, BundleError> {
        let bundle = Self::open(dir)?;
        for (name, expected) in &bundle.manifest.files {
            let file = dir.join(name);
            let found = sha256_file(&file)?;
            if found != *expected {
                return Err(BundleError::Checksum { file, expected: expected.clone(), found });
            }
        }
        for name in list(dir)? {
            let listed = name == MANIFEST || bundle.manifest.files.contains_key(&name);
            Fields::of(&dir.join(MANIFEST)).check(
                "files",
                listed,
                "an entry for every file",
                format!("none for {name}"),
            )?;
        }
        Ok(bundle)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, BundleError> {
    fs::read(file).map_err(BundleError::read(file))
}

fn check_count(file: &Path, field: &str, expected: usize, found: usize) -> Result<(), BundleError> {
    Fields::of(file).check(field, expected == found, format_args!("{expected} as in {MANIFEST}"), found)
}

/// Lists the files below `dir`, as the manifest spells them, in order.
fn list(dir: &Path) -> Result<Vec<String>, BundleError> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = dir.join(&folder);
        for entry in fs::read_dir(&path).map_err(BundleError::read(&path))? {
            let entry = entry.map_err(BundleError::read(&path))?;
            let name = format!("{folder}{}", entry.file_name().to_string_lossy());
            let is_folder = entry.file_type().map_err(BundleError::read(&path))?.is_dir();
            if is_folder { folders.push(name + "/") } else { names.push(name) }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
