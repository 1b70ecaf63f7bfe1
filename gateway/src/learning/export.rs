//! Interactions as Parquet files for training: one folder for each day of arrival, and a manifest.
//!
//! The file of a day is replaced as a whole, so that an export may be repeated: what was replaced, taken back or erased
//! since then is gone from the new file.

mod row;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::{row::rows, table::DayFile};
use super::Interaction;

/// The manifest's name.
const MANIFEST: &str = "manifest.json";

/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;

/// The interactions cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file or folder cannot be written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The rows cannot be written.
    #[error("writing Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The manifest of an earlier export cannot be read.
    #[error("{}: not a manifest of interactions: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The files of a folder of exports.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    /// By path relative to the folder.
    files: BTreeMap<String, FileEntry>,
}

/// One file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    interactions: usize,
    rows: usize,
    /// SHA-256 of each user id, so that an erasure finds the files that hold the user.
    users: BTreeSet<String>,
}

/// The version of [`Manifest`] and of the files' columns.
const VERSION: u32 = 1;

/// Writes interactions, which come in the order of their arrival.
pub struct Exporter {
    folder: PathBuf,
    manifest: Manifest,
    written: Vec<String>,
    day: Option<Day>,
}

/// The day that is being written.
struct Day {
    number: u64,
    name: String,
    file: DayFile,
    entry: FileEntry,
}

/// Returns the start of the day of `millis`: exports begin there.
pub fn day_start(millis: u64) -> u64 {
    millis - millis % DAY
}

/// Returns the name of a user in a manifest.
pub fn hashed(user: &str) -> String {
    const_hex::encode(Sha256::digest(user.as_bytes()))
}

impl Exporter {
    /// Returns an exporter into `folder`, which is created when absent.
    ///
    /// # Errors
    ///
    /// Fails when the folder cannot be created, or has another manifest.
    pub fn new(folder: &Path) -> Result<Self, ExportError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(MANIFEST);
        let manifest = match fs::read(&path) {
            Ok(bytes) => read_manifest(&bytes).map_err(|reason| ExportError::Manifest { path, reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Manifest { version: VERSION, ..Manifest::default() }
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        Ok(Self { folder: folder.to_path_buf(), manifest, written: Vec::new(), day: None })
    }

    /// Adds interactions that arrived after all before them.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be written.
    pub fn add(&mut self, interactions: Vec<Interaction>) -> Result<(), ExportError> {
        for interaction in interactions {
            let number = interaction.signal.received / DAY;
            let mut day = match self.day.take() {
                Some(day) if day.number == number => day,
                earlier => {
                    self.close(earlier)?;
                    self.open(number)?
                }
            };
            day.entry.interactions += 1;
            day.entry.users.insert(hashed(&interaction.user));
            for row in rows(&interaction) {
                day.entry.rows += 1;
                day.file.add(&row)?;
            }
            self.day = Some(day);
        }
        Ok(())
    }

    /// Completes the last file and the manifest; returns what was written.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be written.
    pub fn finish(mut self) -> Result<serde_json::Value, ExportError> {
        let last = self.day.take();
        self.close(last)?;
        let path = self.folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&self.manifest).unwrap_or_default();
        replace(&path, |temporary| fs::write(temporary, text))?;
        let count = |name: &String| self.manifest.files.get(name).map_or(0, |entry| entry.interactions);
        let interactions: usize = self.written.iter().map(count).sum();
        Ok(serde_json::json!({"interactions": interactions, "files": self.written}))
    }

    fn open(&self, number: u64) -> Result<Day, ExportError> {
        let millis = i64::try_from(number.saturating_mul(DAY)).unwrap_or(i64::MAX);
        let date = jiff::Timestamp::from_millisecond(millis).map(|time| time.strftime("%Y-%m-%d").to_string());
        let name = format!("day={}/interactions.parquet", date.unwrap_or_default());
        let path = self.folder.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        Ok(Day { number, name, file: DayFile::create(&path)?, entry: FileEntry::default() })
    }

    fn close(&mut self, day: Option<Day>) -> Result<(), ExportError> {
        let Some(Day { name, file, entry, .. }) = day else { return Ok(()) };
        file.finish()?;
        self.manifest.files.insert(name.clone(), entry);
        self.written.push(name);
        Ok(())
    }
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match manifest.version {
        VERSION => Ok(manifest),
        other => Err(format!("version {other}, expected {VERSION}")),
    }
}

/// Returns the name under which `path` is written until it is complete.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn replace(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), ExportError> {
    let temporary = temporary(path);
    write(&temporary).and_then(|()| fs::rename(&temporary, path)).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_path_buf();
    move |source| ExportError::Io { path, source }
}

#[cfg(test)]
mod tests;
