//! Reads a configuration file.

use std::path::{Path, PathBuf};

use super::{
    Config, Error, Overrides, Tls, check,
    file_stamp::{self, FileStamps},
    folder::Folder,
    keys_file, raw,
    secret::Env,
};

/// A configuration, and what was written.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// What is written, with overrides and defaults; contains no secrets.
    pub raw: raw::Config,
    /// What is meant.
    pub config: Config,
}

impl Loaded {
    /// Returns the configuration in effect as YAML, without secrets.
    pub fn effective(&self) -> String {
        serde_saphyr::to_string(&self.raw).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    /// Returns the folder of the bundle that is named; none is the default bundle.
    pub fn bundle(&self) -> Option<PathBuf> {
        (self.raw.bundle != Path::new("default")).then(|| self.resolve_relative(&self.raw.bundle))
    }

    /// Returns a path of the file as the process sees it: a relative path is relative to the file's folder.
    pub fn resolve_relative(&self, path: &Path) -> PathBuf {
        Folder::of(&self.path).resolve(path)
    }
}

/// Reads and checks `path`; the values of `overrides` replace those of the file, and `env` resolves secrets.
///
/// # Errors
///
/// Fails when a file cannot be read or is refused.
pub fn load(path: &Path, overrides: &Overrides, env: Env<'_>) -> Result<Loaded, Error> {
    let mut stamps = FileStamps::new();
    file_stamp::record(&mut stamps, path);
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let mut loaded = build(path, read(path, &text)?, overrides, env)?;
    loaded.config.files.append(&mut stamps);
    Ok(loaded)
}

/// Checks `text`, the content of `path`.
///
/// # Errors
///
/// Fails when the text or a file that it names is refused.
pub fn parse(path: &Path, text: &str, env: Env<'_>) -> Result<Loaded, Error> {
    build(path, read(path, text)?, &Overrides::default(), env)
}

fn read(path: &Path, text: &str) -> Result<raw::Config, Error> {
    serde_saphyr::from_str(text).map_err(|error| Error::shape(path, &error))
}

fn build(path: &Path, mut raw: raw::Config, overrides: &Overrides, env: Env<'_>) -> Result<Loaded, Error> {
    overrides.apply(&mut raw);
    let folder = Folder::of(path);
    let mut config = check::check(&raw, &folder, env)?;
    for file in config.tls.iter().flat_map(Tls::files) {
        file_stamp::record(&mut config.files, file);
    }
    for tls in config.upstreams.values().filter_map(|upstream| upstream.tls.as_ref()) {
        config.files.extend(tls.files.clone());
    }
    if let Some(file) = &raw.auth.keys_file {
        let file = folder.resolve(file);
        file_stamp::record(&mut config.files, &file);
        keys_file::read(&file, &mut config)?;
    }
    Ok(Loaded { path: path.to_path_buf(), raw, config })
}
