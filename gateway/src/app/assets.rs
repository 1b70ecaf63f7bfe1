//! Finds the bundle, the plugin and the native runtime with which a router is opened.
//!
//! Each part is taken from the first of these sources that names it. Nothing else is searched:
//!
//! 1. a flag of the command line, such as `--bundle`;
//! 2. its environment variable, such as `PERSONAROUTE_BUNDLE`;
//! 3. the configuration file, such as `bundle: DIR`;
//! 4. the default: the plugin and the bundle that are embedded in the program, ONNX Runtime of the installed tree
//!    (`../lib/personaroute` relative to the program's folder), and the text encoder of the bundle, else of that tree.
//!
//! [`crate::config::Overrides`] merges the first three. The embedded parts are decided here, those of the installed tree by
//! [`personaroute_host`]. `build.rs` embeds: build with `PERSONAROUTE_EMBED_PLUGIN=FILE` and
//! `PERSONAROUTE_EMBED_BUNDLE=DIR`, as `cargo xtask install` does.

use std::path::{Path, PathBuf};

use personaroute_bundle::source::{BundleSource, EmbeddedFiles};
use personaroute_host::PluginSource;

use crate::config::Loaded;

/// The plugin that is compiled into this program.
const PLUGIN: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/plugin.rs"));

/// The bundle that is compiled into this program.
const BUNDLE: Option<EmbeddedFiles> = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// A part that is not there.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A file or folder that was named does not exist.
    #[error("`{key}` {} does not exist", path.display())]
    Missing {
        /// The part's key in the configuration.
        key: &'static str,
        /// What was named.
        path: PathBuf,
    },
    /// Nothing was named, and nothing is embedded.
    #[error("no {what} is named and none is embedded in this program: give {flag}, {variable} or `{key}`")]
    Unnamed {
        /// The part.
        what: &'static str,
        /// The flag that names one.
        flag: &'static str,
        /// The environment variable that names one.
        variable: &'static str,
        /// The part's key in the configuration.
        key: &'static str,
    },
}

/// The parts of a router.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The bundle.
    pub bundle: BundleSource,
    /// The plugin component.
    pub plugin: PluginSource,
    /// ONNX Runtime's library; none is the one of the installed tree.
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the text encoder; none is the bundle's own, else the one of the installed tree.
    pub encoder: Option<PathBuf>,
}

impl Assets {
    /// Finds the parts that `loaded` names, and the defaults of those that it does not name.
    ///
    /// # Errors
    ///
    /// Fails for a part that does not exist, or that is neither named nor embedded.
    pub fn locate(loaded: &Loaded) -> Result<Self, AssetError> {
        Ok(Self {
            bundle: bundle(loaded.bundle().as_deref())?,
            plugin: plugin(loaded)?,
            onnxruntime: onnxruntime(loaded)?,
            encoder: loaded.raw.encoder.as_deref().map(|path| loaded.resolve_relative(path)),
        })
    }

    /// Returns the files whose change means that the router must be opened again.
    pub fn watched(&self) -> impl Iterator<Item = PathBuf> {
        let manifest = match &self.bundle {
            BundleSource::Folder(dir) => Some(dir.join("manifest.yaml")),
            BundleSource::Embedded(_) => None,
        };
        let plugin = match &self.plugin {
            PluginSource::File(file) => Some(file.clone()),
            PluginSource::Embedded(_) => None,
        };
        [manifest, plugin].into_iter().flatten()
    }
}

/// Returns the bundle in the folder `named`; without one the embedded bundle.
///
/// # Errors
///
/// Fails when the folder does not exist, or when none is named and none is embedded.
pub fn bundle(named: Option<&Path>) -> Result<BundleSource, AssetError> {
    match (named, BUNDLE) {
        (Some(path), _) if path.is_dir() => Ok(path.into()),
        (Some(path), _) => Err(AssetError::Missing { key: "bundle", path: path.to_path_buf() }),
        (None, Some(files)) => Ok(files.into()),
        (None, None) => Err(AssetError::Unnamed {
            what: "model bundle",
            flag: "--bundle DIR",
            variable: "PERSONAROUTE_BUNDLE",
            key: "bundle",
        }),
    }
}

fn plugin(loaded: &Loaded) -> Result<PluginSource, AssetError> {
    match (loaded.raw.plugin.wasm.as_deref().map(|path| loaded.resolve_relative(path)), PLUGIN) {
        (Some(path), _) if path.is_file() => Ok(path.into()),
        (Some(path), _) => Err(AssetError::Missing { key: "plugin.wasm", path }),
        (None, Some(bytes)) => Ok(bytes.into()),
        (None, None) => Err(AssetError::Unnamed {
            what: "routing plugin",
            flag: "--plugin FILE",
            variable: "PERSONAROUTE_PLUGIN",
            key: "plugin.wasm",
        }),
    }
}

fn onnxruntime(loaded: &Loaded) -> Result<Option<PathBuf>, AssetError> {
    match loaded.raw.onnxruntime.as_deref().map(|path| loaded.resolve_relative(path)) {
        Some(path) if path.is_file() => Ok(Some(path)),
        Some(path) => Err(AssetError::Missing { key: "onnxruntime", path }),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_named_must_exist() {
        let error = bundle(Some(Path::new("/gone"))).unwrap_err();
        assert_eq!(error.to_string(), "`bundle` /gone does not exist");
    }
}
