//! Changes the files of a bundle: updates its checksums, or embeds it.

use std::error::Error;
use std::fs;
use std::path::Path;

use personaroute_bundle::BundleError;
use personaroute_bundle::digest::sha256;
use personaroute_bundle::layout::MANIFEST;
use personaroute_bundle::manifest::Manifest;
use personaroute_bundle::source::{BundleSource, EmbeddedFiles};

/// Lists the files of the bundle in the folder `dir` in its manifest, with their present checksums.
pub fn update_checksums(dir: &Path) -> Result<(), Box<dyn Error>> {
    let (source, file) = (BundleSource::from(dir), dir.join(MANIFEST));
    let mut manifest = Manifest::parse(&source.read(MANIFEST)?, &file)?;
    let names = source.list()?.into_iter().filter(|name| name != MANIFEST);
    manifest.files =
        names.map(|name| Ok((name.clone(), sha256(&source.read(&name)?)))).collect::<Result<_, BundleError>>()?;
    Ok(fs::write(file, manifest.to_yaml()?)?)
}

/// Reads the files of the bundle in the folder `dir` into memory that is never freed, as an embedded bundle has them.
pub fn embed(dir: &Path) -> Result<EmbeddedFiles, BundleError> {
    let source = BundleSource::from(dir);
    let read = |name: String| -> Result<(&'static str, &'static [u8]), BundleError> {
        let content = source.read(&name)?.into_owned();
        Ok((name.leak(), content.leak()))
    };
    Ok(source.list()?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?.leak())
}
