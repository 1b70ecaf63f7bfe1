//! Writes a bundle into a temporary folder, which then replaces the target folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Bundle;
use crate::catalog::{Catalog, Tasks};
use crate::digest::sha256_file;
use crate::error::{BundleError, Fields};
use crate::layout::{LLMS, MANIFEST, TASKS, is_inside};
use crate::manifest::Manifest;
use crate::source::BundleSource;
use crate::users::UserTableWriter;
use crate::yaml;

/// Collects a bundle's files; [`finish`](Self::finish) checks them and replaces the target folder.
///
/// A writer that is dropped unfinished leaves nothing behind.
///
/// ```
/// use personaroute_bundle::folder::BundleWriter;
///
/// let dir = tempfile::tempdir()?;
/// let mut writer = BundleWriter::create(&dir.path().join("bundle"))?;
/// writer.add("report/index.md", b"# Report")?;
/// drop(writer);
/// assert_eq!(std::fs::read_dir(dir.path())?.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BundleWriter {
    target: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl BundleWriter {
    /// Starts a bundle that will be the folder `dir`.
    ///
    /// # Errors
    ///
    /// [`BundleError::NotABundle`] when `dir` has files that are not those of a bundle; [`BundleError::Write`].
    pub fn create(dir: &Path) -> Result<Self, BundleError> {
        check_replaceable(dir)?;
        let partial = sibling(dir, "partial");
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(BundleError::write(&partial))?;
        Ok(Self { target: dir.into(), partial, finished: false })
    }

    /// Writes a file, and creates the folders in its name.
    ///
    /// # Errors
    ///
    /// [`BundleError::Field`] for a name outside the bundle; [`BundleError::Write`].
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), BundleError> {
        let file = self.prepare(name)?;
        fs::write(&file, content).map_err(BundleError::write(&file))
    }

    /// Copies a file into the bundle.
    ///
    /// # Errors
    ///
    /// [`BundleError::Field`] for a name outside the bundle; [`BundleError::Read`], [`BundleError::Write`].
    pub fn add_file(&mut self, name: &str, from: &Path) -> Result<(), BundleError> {
        let file = self.prepare(name)?;
        fs::copy(from, &file).map_err(BundleError::read(from))?;
        Ok(())
    }

    /// Writes the catalog.
    ///
    /// # Errors
    ///
    /// Every error of [`add`](Self::add).
    pub fn add_catalog(&mut self, catalog: &Catalog) -> Result<(), BundleError> {
        self.add(LLMS, catalog.to_yaml()?.as_bytes())
    }

    /// Writes the tasks.
    ///
    /// # Errors
    ///
    /// Every error of [`add`](Self::add).
    pub fn add_tasks(&mut self, tasks: &Tasks) -> Result<(), BundleError> {
        self.add(TASKS, tasks.to_yaml()?.as_bytes())
    }

    /// Writes the user table.
    ///
    /// # Errors
    ///
    /// Every error of [`UserTableWriter::write`].
    pub fn add_users(&mut self, users: &UserTableWriter) -> Result<(), BundleError> {
        users.write(&self.partial)
    }

    /// Returns the folder that holds the files until the bundle is finished.
    pub fn folder(&self) -> &Path {
        &self.partial
    }

    /// Writes the manifest with the checksum of every file, opens the result, and replaces the target folder.
    ///
    /// # Errors
    ///
    /// Every error of [`Bundle::open`], and of [`create`](Self::create) for the target folder, which is then unchanged.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<Bundle, BundleError> {
        manifest.files.clear();
        for name in BundleSource::from(&self.partial).list()? {
            let digest = sha256_file(&self.partial.join(&name))?;
            manifest.files.insert(name, digest);
        }
        self.add(MANIFEST, manifest.to_yaml()?.as_bytes())?;
        let mut bundle = Bundle::open(&self.partial)?;
        // Files may have been added to the folder since `create`.
        check_replaceable(&self.target)?;
        let replaced = sibling(&self.target, "replaced");
        remove(&replaced)?;
        match fs::rename(&self.target, &replaced) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BundleError::write(&self.target)(error)),
            _ => {}
        }
        fs::rename(&self.partial, &self.target).map_err(BundleError::write(&self.target))?;
        self.finished = true;
        remove(&replaced)?;
        bundle.source = BundleSource::from(&self.target);
        Ok(bundle)
    }

    /// Returns the path of a file, whose folder it creates.
    fn prepare(&self, name: &str) -> Result<PathBuf, BundleError> {
        Fields::of(&self.target).check(
            "name",
            is_inside(name),
            "a path inside the bundle",
            format_args!("{name:?}"),
        )?;
        let file = self.partial.join(name);
        let folder = file.parent().unwrap_or(&self.partial);
        fs::create_dir_all(folder).map_err(BundleError::write(folder))?;
        Ok(file)
    }
}

impl Drop for BundleWriter {
    fn drop(&mut self) {
        if !self.finished {
            // An error cannot be reported here; the next writer of this bundle removes what is left.
            let _ = remove(&self.partial);
        }
    }
}

/// The files of a manifest of any version.
#[derive(Deserialize)]
struct Listed {
    files: BTreeMap<String, IgnoredAny>,
}

/// Accepts a path that does not exist, an empty folder, and a folder whose files a manifest in it lists.
fn check_replaceable(dir: &Path) -> Result<(), BundleError> {
    if !dir.exists() {
        return Ok(());
    }
    let source = BundleSource::from(dir);
    let names = source.list()?;
    let listed = if names.iter().any(|name| name == MANIFEST) {
        // A damaged manifest lists no file.
        yaml::parse(&source.read(MANIFEST)?, &source.path(MANIFEST))
            .map_or_else(|_| BTreeMap::new(), |Listed { files }| files)
    } else {
        BTreeMap::new()
    };
    let is_of_bundle = |name: &&String| !listed.is_empty() && (*name == MANIFEST || listed.contains_key(*name));
    match names.iter().find(|name| !is_of_bundle(name)) {
        Some(file) => Err(BundleError::NotABundle { dir: dir.into(), file: file.clone() }),
        None => Ok(()),
    }
}

/// Returns a path for `purpose` in the parent folder of `dir`, on the same file system.
fn sibling(dir: &Path, purpose: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.{purpose}"))
}

/// Removes a folder if it exists.
fn remove(dir: &Path) -> Result<(), BundleError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BundleError::write(dir)(error)),
        _ => Ok(()),
    }
}
