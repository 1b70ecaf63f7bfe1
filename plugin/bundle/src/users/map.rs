//! Maps a file into memory: the one place of this crate that needs `unsafe`.

use std::fs::File;
use std::path::Path;

use memmap2::{Advice, Mmap};

use crate::BundleError;

/// Maps `file` for reading in no particular order.
#[expect(unsafe_code, reason = "a mapping is only sound while nobody writes to the file, which no type can promise")]
pub(super) fn map(file: &Path) -> Result<Mmap, BundleError> {
    let handle = File::open(file).map_err(BundleError::read(file))?;
    // SAFETY: bundle files are written once, under another name, and renamed into place (`writer.rs`, `folder/writer.rs`);
    // nothing in this project writes to one that exists. The mapping is read-only, and every value read from it goes
    // through checked slices of plain bytes, so that even a foreign writer can cause wrong values only.
    let map = unsafe { Mmap::map(&handle) }.map_err(BundleError::read(file))?;
    // Read-ahead would load pages nobody asked for; a system without such advice is as right, only slower.
    let _ = map.advise(Advice::Random);
    Ok(map)
}
