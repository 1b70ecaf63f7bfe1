//! Generates the Rust expression that compiles a bundle into a program.

use std::fmt::Write as _;
use std::path::Path;

use crate::BundleError;
use crate::folder::Bundle;
use crate::layout::MANIFEST;

/// Verifies the bundle in the folder `dir` and returns a Rust expression of the type
/// [`EmbeddedFiles`](crate::source::EmbeddedFiles) that holds the content of its files.
///
/// A build script writes it into a file, and the program includes that file:
///
/// ```no_run
/// // build.rs
/// use std::path::Path;
///
/// let bundle = Path::new("configs/bundle");
/// let source = personaroute_bundle::embed::rust_source(bundle)?;
/// let out = std::env::var("OUT_DIR")?;
/// std::fs::write(Path::new(&out).join("bundle.rs"), source)?;
/// println!("cargo::rerun-if-changed={}", bundle.display());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```text
/// // main.rs
/// const BUNDLE: EmbeddedFiles = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));
/// const PLUGIN: &[u8] = include_bytes!("personaroute.wasm");
/// let router = Router::open(&RouterOptions::new(BUNDLE, PLUGIN))?;
/// ```
///
/// # Errors
///
/// Every error of [`Bundle::verify`]; [`BundleError::Read`] when the folder has no absolute path.
pub fn rust_source(dir: &Path) -> Result<String, BundleError> {
    let dir = dir.canonicalize().map_err(BundleError::read(dir))?;
    let bundle = Bundle::verify(&dir)?;
    let mut source = String::from("&[\n");
    for name in bundle.manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
        let file = dir.join(name);
        // Writing to a string cannot fail.
        let _ = writeln!(source, "    ({name:?}, include_bytes!({:?})),", file.display().to_string());
    }
    source.push(']');
    Ok(source)
}
