//! Where tests find the repository, the built components, the native libraries and the shared data.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use personaroute_gateway::config::Loaded;

use crate::skip;

/// Returns the repository's root.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Returns the runnable configurations, each by its path.
pub fn configurations() -> Vec<PathBuf> {
    let folder = root().join("configs");
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|file| file.extension() == Some(OsStr::new("yaml"))).collect();
    files.sort();
    files
}

/// Returns the default bundle's folder.
pub fn default_bundle() -> PathBuf {
    root().join("configs/bundle")
}

/// Returns the routing plugin: the one `cargo xtask test` names, else the one `cargo xtask plugin` left.
pub fn plugin() -> PathBuf {
    named("PERSONAROUTE_PLUGIN").unwrap_or_else(|| target().join("plugin/personaroute.wasm"))
}

/// Returns `loaded` with the built parts where its file names none: a gateway under test has nothing embedded.
pub fn with_assets(mut loaded: Loaded) -> Loaded {
    if loaded.bundle().is_none() {
        loaded.raw.bundle = default_bundle();
    }
    let raw = &mut loaded.raw;
    raw.plugin.wasm.get_or_insert_with(plugin);
    raw.onnxruntime.get_or_insert_with(onnxruntime);
    raw.encoder.get_or_insert_with(encoder);
    loaded
}

/// Returns a misbehaving guest by name.
pub fn guest(name: &str) -> PathBuf {
    let folder = named("PERSONAROUTE_TEST_GUESTS").unwrap_or_else(|| target().join("plugin/guests"));
    folder.join(name).with_extension("wasm")
}

/// Returns the ONNX Runtime library.
pub fn onnxruntime() -> PathBuf {
    named("ORT_DYLIB_PATH").unwrap_or_else(|| components().join("onnxruntime-1.31.1/libonnxruntime.so.1.31.1"))
}

/// Returns the folder of the text encoder.
pub fn encoder() -> PathBuf {
    named("PERSONAROUTE_ENCODER_DIR").unwrap_or_else(|| components().join("minilm"))
}

/// Returns a binary of the workspace, `personaroute` or `personaroute-train`: it lies where this test was built.
pub fn binary(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(Path::new("")).join(name)
}

/// Returns a folder of the data beside the repository; without it the test is recorded as skipped, and returns.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let data = named("PERSONAROUTE_SHARED_DATA").unwrap_or_else(|| root().join("../shared/data"));
    let folder = data.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    skip::record(&format!("{} is not on this machine", folder.display()));
    None
}

/// Returns cargo's build folder.
fn target() -> PathBuf {
    let by_hand = binary("").join("..");
    named("CARGO_TARGET_DIR").unwrap_or(by_hand)
}

/// Returns the folder that set-up fills.
fn components() -> PathBuf {
    let cache = named("PERSONAROUTE_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|base| base.join("personaroute")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/personaroute")));
    cache.unwrap_or_default().join("v1")
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
