//! What a file looks like from outside, so that a change is noticed without reading it.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The looks of files; none for one that is missing, as in the middle of a replacement.
///
/// A file is looked at before it is read: a change between the two is noticed later, not missed.
pub type Looks = BTreeMap<PathBuf, Option<Look>>;

/// The look of a file: contents may be replaced in place, by renaming, or by a link that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    modified: SystemTime,
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Look {
    /// Looks at `file`, through links: where a volume swaps them, another file is found.
    pub fn at(file: &Path) -> Option<Self> {
        let about = std::fs::metadata(file).ok()?;
        let changed = (about.ctime(), about.ctime_nsec());
        Some(Self { modified: about.modified().ok()?, changed, bytes: about.len(), inode: about.ino() })
    }
}

/// Adds `file` as it looks now, for whoever reads it next.
pub fn remember(looks: &mut Looks, file: &Path) {
    looks.insert(file.to_path_buf(), Look::at(file));
}
