//! Reading a configuration file.

use std::path::{Path, PathBuf};

use super::{
    Config, Error, Fault, Overrides, Place, Tls, check, find, keys_file,
    look::{self, Looks},
    raw, traces,
};

/// A configuration with what was written.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// What is written, with defaults; holds no secrets.
    pub raw: raw::Config,
    /// What is meant.
    pub config: Config,
}

impl Loaded {
    /// Returns the configuration in effect as YAML, without secrets.
    pub fn effective(&self) -> String {
        serde_saphyr::to_string(&self.raw).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    /// Returns the same configuration with the values of `overrides` in place of the file's.
    ///
    /// # Errors
    ///
    /// Fails when nobody is authenticated and the address is public.
    pub fn overridden(mut self, overrides: &Overrides) -> Result<Self, Error> {
        overrides.apply(&mut self.raw);
        self.config.listen = self.raw.listen.value;
        let refused = |(place, fault)| Error::Invalid { path: self.path.clone(), place, fault };
        check::listener(&self.raw).map_err(refused)?;
        Ok(self)
    }

    /// Returns the folder of the bundle that is named; none is the default bundle.
    pub fn bundle(&self) -> Option<PathBuf> {
        (self.raw.bundle != Path::new("default")).then(|| self.beside(&self.raw.bundle))
    }

    /// Returns the same configuration as OpenTelemetry's own variables of `env` change it.
    ///
    /// # Errors
    ///
    /// Fails for a value that cannot be followed.
    pub fn traced_as(mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        self.config.traces = traces::from_environment(self.config.traces, &self.raw.traces, env)?;
        Ok(self)
    }

    /// Returns `path`, which the file wrote, as seen from the process: relative paths lie beside the file.
    pub fn beside(&self, path: &Path) -> PathBuf {
        beside(&self.path, path)
    }
}

fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().map_or_else(|| path.to_path_buf(), |folder| folder.join(path))
}

/// Returns the refusal of `path`, with the place in `text` of a key that was read without.
fn invalid(path: &Path, text: &str, (place, fault): (Place, Fault)) -> Error {
    let place = if let Fault::Value { key, .. } | Fault::Empty(key) = &fault
        && place == Place::default()
    {
        find::place(text, key)
    } else {
        place
    };
    Error::Invalid { path: path.to_path_buf(), place, fault }
}

/// Reads and checks `path`; `env` resolves secrets.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Error> {
    let mut looks = Looks::new();
    look::remember(&mut looks, path);
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let mut loaded = parse(path, &text, env)?;
    loaded.config.files.append(&mut looks);
    Ok(loaded)
}

/// Checks `text`, the contents of `path`.
pub fn parse(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Error> {
    let raw: raw::Config = serde_saphyr::from_str(text).map_err(|error| Error::shape(path, &error))?;
    let config = check::check(&raw, env).map_err(|refused| invalid(path, text, refused))?;
    let mut loaded = Loaded { path: path.to_path_buf(), raw, config };
    loaded.config.state.file = loaded.raw.state.file.as_deref().map(|file| loaded.beside(file));
    if let Some(shared) = &mut loaded.config.state.shared {
        shared.ca = shared.ca.as_deref().map(|file| beside(path, file));
    }
    loaded.config.tls = loaded.raw.tls.as_ref().map(|tls| tls.beside(|file| loaded.beside(file)));
    for file in loaded.config.tls.iter().flat_map(Tls::files) {
        look::remember(&mut loaded.config.files, file);
    }
    if let Some(file) = &loaded.raw.auth.keys_file {
        let file = loaded.beside(file);
        look::remember(&mut loaded.config.files, &file);
        keys_file::read(&file, &mut loaded.config)?;
    }
    Ok(loaded)
}
