//! What the command line and the environment say in place of the file: flag over environment over file over default.
//!
//! Each flag names its variable, so that both have one value here, and [`Overrides::apply`] writes it into the
//! configuration. Whoever reads the configuration afterwards does not see where a value came from.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::raw;

/// Values that come before those of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Overrides {
    /// Address to accept requests on [file: listen]
    #[arg(long, value_name = "ADDRESS", env = "PERSONAROUTE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Folder of the model bundle [file: bundle]
    #[arg(long, value_name = "DIR", env = "PERSONAROUTE_BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// The routing plugin, a WASM component [file: plugin.wasm]
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_PLUGIN")]
    pub plugin: Option<PathBuf>,
    /// ONNX Runtime's shared library [file: onnxruntime]
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the text encoder [file: encoder]
    #[arg(long, value_name = "DIR", env = "PERSONAROUTE_ENCODER_DIR")]
    pub encoder: Option<PathBuf>,
}

impl Overrides {
    /// Writes what is given into `raw`. Paths are made absolute: the caller's folder is not that of the file.
    pub(super) fn apply(&self, raw: &mut raw::Config) {
        if let Some(listen) = self.listen {
            raw.listen = listen.into();
        }
        if let Some(bundle) = &self.bundle {
            raw.bundle = absolute(bundle);
        }
        for (given, written) in [
            (&self.plugin, &mut raw.plugin.wasm),
            (&self.onnxruntime, &mut raw.onnxruntime),
            (&self.encoder, &mut raw.encoder),
        ] {
            if let Some(path) = given {
                *written = Some(absolute(path));
            }
        }
    }
}

/// Returns `path` from the root; one that cannot be made absolute is refused where it is opened.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
