//! SHA-256 of files and bytes, in lowercase hexadecimal.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::BundleError;

/// Returns the SHA-256 of a file's content, which is read as a stream.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("empty"), "")?;
/// let digest = personaroute_bundle::digest::sha256_file(&dir.path().join("empty"))?;
/// assert_eq!(digest, personaroute_bundle::digest::sha256(b""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sha256_file(file: &Path) -> Result<String, BundleError> {
    let mut hasher = Sha256::new();
    let mut content = File::open(file).map_err(BundleError::read(file))?;
    io::copy(&mut content, &mut hasher).map_err(BundleError::read(file))?;
    Ok(hex(&hasher.finalize()))
}

/// Returns the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_abc_is_the_published_one() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn missing_file_is_named() {
        assert!(sha256_file("no/such/file".as_ref()).unwrap_err().to_string().contains("no/such/file"));
    }
}
