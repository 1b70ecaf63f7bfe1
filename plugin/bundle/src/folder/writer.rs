//! Writes a bundle: everything into a folder beside the target, which then takes the target's place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Bundle, list};
use crate::catalog::{Catalog, Tasks};
use crate::digest::sha256_file;
use crate::error::{BundleError, Fields};
use crate::layout::{LLMS, MANIFEST, TASKS, is_inside};
use crate::manifest::Manifest;
use crate::users::UserTableWriter;

/// Gathers a bundle's files; [`finish`](Self::finish) checks it and puts it in place.
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
    /// Begins a bundle that will be the folder `dir`, whatever is there now.
    pub fn create(dir: &Path) -> Result<Self, BundleError> {
        let partial = beside(dir, "partial");
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(BundleError::write(&partial))?;
        Ok(Self { target: dir.into(), partial, finished: false })
    }

    /// Writes a file, with the folders it needs.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), BundleError> {
        let file = self.place(name)?;
        fs::write(&file, content).map_err(BundleError::write(&file))
    }

    /// Copies a file.
    pub fn add_file(&mut self, name: &str, from: &Path) -> Result<(), BundleError> {
        let file = self.place(name)?;
        fs::copy(from, &file).map_err(BundleError::read(from))?;
        Ok(())
    }

    /// Writes the catalog.
    pub fn add_catalog(&mut self, catalog: &Catalog) -> Result<(), BundleError> {
        self.add(LLMS, catalog.to_yaml()?.as_bytes())
    }

    /// Writes the tasks.
    pub fn add_tasks(&mut self, tasks: &Tasks) -> Result<(), BundleError> {
        self.add(TASKS, tasks.to_yaml()?.as_bytes())
    }

    /// Writes the user table.
    pub fn add_users(&mut self, users: &UserTableWriter) -> Result<(), BundleError> {
        users.write(&self.partial)
    }

    /// Returns the folder that the files lie in until the bundle is finished.
    pub fn folder(&self) -> &Path {
        &self.partial
    }

    /// Writes the manifest with the checksum of every file, opens the result, and puts it in place of what was there.
    ///
    /// # Errors
    ///
    /// A bundle that [`Bundle::open`] would refuse is not put in place.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<Bundle, BundleError> {
        manifest.files.clear();
        for name in list(&self.partial)? {
            let digest = sha256_file(&self.partial.join(&name))?;
            manifest.files.insert(name, digest);
        }
        self.add(MANIFEST, manifest.to_yaml()?.as_bytes())?;
        Bundle::open(&self.partial)?;
        let replaced = beside(&self.target, "replaced");
        remove(&replaced)?;
        match fs::rename(&self.target, &replaced) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BundleError::write(&self.target)(error)),
            _ => {}
        }
        fs::rename(&self.partial, &self.target).map_err(BundleError::write(&self.target))?;
        self.finished = true;
        remove(&replaced)?;
        Bundle::open(&self.target)
    }

    /// Makes the folder of a file.
    fn place(&self, name: &str) -> Result<PathBuf, BundleError> {
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
            // Nobody is left to tell; the next writer of this bundle removes what stayed.
            let _ = remove(&self.partial);
        }
    }
}

/// Returns a path for `purpose` on the same file system as `dir`.
fn beside(dir: &Path, purpose: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.{purpose}"))
}

/// Removes a folder if it is there.
fn remove(dir: &Path) -> Result<(), BundleError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BundleError::write(dir)(error)),
        _ => Ok(()),
    }
}
