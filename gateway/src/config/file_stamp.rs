//! Detects that a file has changed, without reading it.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The stamps of files; none for a file that is missing, as in the middle of a replacement.
///
/// A stamp is taken before the file is read: a change in between is detected later, and not missed.
pub type FileStamps = BTreeMap<PathBuf, Option<FileStamp>>;

/// What the file system says about a file. A file may be replaced in place, by renaming, or by a link that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    modified: SystemTime,
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl FileStamp {
    /// Returns the stamp of `file`, through links; none if it cannot be read.
    pub fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Some(Self { modified: metadata.modified().ok()?, changed, bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// Adds the stamp of `file`, which is read next.
pub fn record(stamps: &mut FileStamps, file: &Path) {
    stamps.insert(file.to_path_buf(), FileStamp::of(file));
}
