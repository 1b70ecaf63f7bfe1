//! Where the bundle, the plugin and the runtime lie when the file does not say.
//!
//! Order of force: the environment, then the file, then what is installed beside the program, then the build tree.

use std::path::{Path, PathBuf};

use super::Loaded;

/// The files a router is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Folder of the bundle.
    pub bundle: PathBuf,
    /// The plugin component.
    pub plugin: PathBuf,
    /// ONNX Runtime's library; none leaves it to `ORT_DYLIB_PATH`.
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the encoder; none leaves it to the bundle.
    pub encoder: Option<PathBuf>,
}

/// A file that was looked for in vain.
#[derive(Debug, thiserror::Error)]
#[error("no {what} found; looked at: {}", looked_at.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
pub struct Missing {
    what: &'static str,
    looked_at: Vec<PathBuf>,
}

/// The name of the plugin component wherever it is built or installed.
const COMPONENT: &str = "personaroute.wasm";

/// Returns the files for `loaded`.
pub fn files(loaded: &Loaded, env: &dyn Fn(&str) -> Option<String>) -> Result<Files, Missing> {
    let raw = &loaded.raw;
    let written = (raw.bundle != Path::new("default")).then(|| loaded.beside(&raw.bundle));
    Ok(Files {
        bundle: bundle(written.as_deref(), env)?,
        plugin: plugin(raw.plugin.wasm.as_deref().map(|path| loaded.beside(path)), env)?,
        onnxruntime: raw.onnxruntime.as_deref().map(|path| loaded.beside(path)),
        encoder: env("PERSONAROUTE_ENCODER_DIR")
            .map(PathBuf::from)
            .or_else(|| raw.encoder.as_deref().map(|path| loaded.beside(path))),
    })
}

/// Refuses a plugin or a runtime that `loaded` names and that is not there, before anything is opened.
///
/// # Errors
///
/// Fails for the first one, naming it.
pub fn check(loaded: &Loaded) -> Result<(), Missing> {
    let raw = &loaded.raw;
    let named = [("`plugin.wasm`", &raw.plugin.wasm), ("`onnxruntime`", &raw.onnxruntime)];
    for (what, written) in named {
        let path = written.as_deref().map(|path| loaded.beside(path));
        if let Some(path) = path.filter(|path| !path.is_file()) {
            return Err(Missing { what, looked_at: vec![path] });
        }
    }
    Ok(())
}

/// Returns the bundle's folder; `written` is what the configuration names.
pub fn bundle(written: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, Missing> {
    if let Some(written) = written {
        return Ok(written.to_path_buf());
    }
    let mut places = Vec::new();
    places.extend(env("PERSONAROUTE_BUNDLE").map(PathBuf::from));
    places.extend(share().map(|share| share.join("bundle")));
    places.push(workspace().join("configs/bundle"));
    first("bundle", places, |place| place.join("manifest.yaml").is_file())
}

fn plugin(written: Option<PathBuf>, env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, Missing> {
    if let Some(written) = written {
        return Ok(written);
    }
    let mut places = Vec::new();
    places.extend(env("PERSONAROUTE_PLUGIN").map(PathBuf::from));
    places.extend(share().map(|share| share.join(COMPONENT)));
    let target = env("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    places.push(target.join("plugin").join(COMPONENT));
    first("routing plugin", places, Path::is_file)
}

fn first(what: &'static str, places: Vec<PathBuf>, fits: impl Fn(&Path) -> bool) -> Result<PathBuf, Missing> {
    match places.iter().find(|place| fits(place)) {
        Some(place) => Ok(place.clone()),
        None => Err(Missing { what, looked_at: places }),
    }
}

/// `<prefix>/share/personaroute` of an installation as `<prefix>/bin/personaroute`.
fn share() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("share/personaroute"))
}

/// The repository this program was built from; absent on other machines, where `share` serves.
fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
