//! SHA-256 of files and bytes, in lowercase hexadecimal.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::BundleError;

/// Bytes that are read and hashed at a time: a block stays in the core's cache between the two.
const BLOCK: u64 = 256 << 10;

/// Returns the SHA-256 of a file's content, which is read as a stream.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("empty"), "")?;
/// let digest = personaroute_bundle::digest::sha256_file(&dir.path().join("empty"))?;
/// assert_eq!(digest, personaroute_bundle::digest::sha256(b""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`BundleError::Read`] when the file cannot be read.
pub fn sha256_file(file: &Path) -> Result<String, BundleError> {
    let mut hasher = Sha256::new();
    let mut content = File::open(file).map_err(BundleError::read(file))?;
    io::copy(&mut content, &mut hasher).map_err(BundleError::read(file))?;
    Ok(const_hex::encode(hasher.finalize()))
}

/// Returns the content of a file and its SHA-256, in one pass.
pub(crate) fn read_sha256(file: &Path) -> Result<(Vec<u8>, String), BundleError> {
    let mut handle = File::open(file).map_err(BundleError::read(file))?;
    let size = handle.metadata().map_err(BundleError::read(file))?.len();
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let mut hasher = Sha256::new();
    loop {
        let start = content.len();
        let read = handle.by_ref().take(BLOCK).read_to_end(&mut content).map_err(BundleError::read(file))?;
        if read == 0 {
            return Ok((content, const_hex::encode(hasher.finalize())));
        }
        hasher.update(content.get(start..).unwrap_or_default());
    }
}

/// Returns the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_abc_is_the_published_one() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_file_of_several_blocks_is_read_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..3 * BLOCK + 7).map(|idx| idx.to_le_bytes()[0]).collect();
        std::fs::write(file.path(), &content).unwrap();
        let (read, digest) = read_sha256(file.path()).unwrap();
        assert!(read == content);
        assert_eq!((&digest, &digest), (&sha256(&content), &sha256_file(file.path()).unwrap()));
    }

    #[test]
    fn missing_file_is_named() {
        assert!(sha256_file("no/such/file".as_ref()).unwrap_err().to_string().contains("no/such/file"));
    }
}
