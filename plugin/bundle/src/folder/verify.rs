//! Compares the files of a bundle with their checksums in the manifest, several files at a time.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::BundleError;
use crate::digest::{read_sha256, sha256, sha256_file};
use crate::source::{BundleSource, Content};

/// The content of files, by name.
pub(super) type Contents<'a> = BTreeMap<&'a str, Content>;

/// Verifies every file of `files`, names with their SHA-256, and returns the content of those that are in `keep`.
///
/// # Errors
///
/// The error of the first file, by name, that cannot be read or has another checksum.
pub(super) fn verify_files<'a>(
    source: &BundleSource,
    files: &'a BTreeMap<String, String>,
    keep: &[&str],
) -> Result<Contents<'a>, BundleError> {
    let mut names: Vec<&str> = files.keys().map(String::as_str).collect();
    // The largest file first: the others are verified beside it.
    names.sort_by_key(|name| Reverse(size(source, name)));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(expected) = files.get(*name) else { continue };
            let result = verify_file(source, name, expected, keep.contains(name));
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(*name, result);
        }
    };
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get()).min(names.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be started, this one does the work alone.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().map(|(name, result)| Ok((name, result?))).collect()
}

/// Reads a file and compares it with its checksum; the content is empty unless `keep` is set.
fn verify_file(source: &BundleSource, name: &str, expected: &str, keep: bool) -> Result<Content, BundleError> {
    let (content, found) = match source {
        BundleSource::Folder(dir) if keep => read_sha256(&dir.join(name)).map(|(read, found)| (read.into(), found))?,
        BundleSource::Folder(dir) => (Cow::Borrowed(&[][..]), sha256_file(&dir.join(name))?),
        BundleSource::Embedded(_) => {
            let content = source.read(name)?;
            let found = sha256(&content);
            (content, found)
        }
    };
    check(source, name, expected, found)?;
    Ok(content)
}

/// Reads a file of `files` and compares it with its checksum.
pub(super) fn read_verified(
    source: &BundleSource,
    files: &BTreeMap<String, String>,
    name: &str,
) -> Result<Content, BundleError> {
    match files.get(name) {
        Some(expected) => verify_file(source, name, expected, true),
        None => Err(BundleError::field(
            &source.path(crate::layout::MANIFEST),
            "files",
            format_args!("an entry {name}"),
            "none",
        )),
    }
}

fn check(source: &BundleSource, name: &str, expected: &str, found: String) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    Err(BundleError::Checksum { file: source.path(name), expected: expected.to_owned(), found })
}

fn size(source: &BundleSource, name: &str) -> u64 {
    match source {
        BundleSource::Folder(dir) => fs::metadata(dir.join(name)).map_or(0, |metadata| metadata.len()),
        BundleSource::Embedded(_) => 0,
    }
}
