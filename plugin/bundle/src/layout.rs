//! The files of a bundle by name, relative to its folder.

use std::path::{Component, Path};

/// The manifest.
pub const MANIFEST: &str = "manifest.yaml";

/// The scorer graph.
pub const SCORER: &str = "scorer.onnx";

/// The adapter graph.
pub const ADAPTER: &str = "adapter.onnx";

/// The LLM catalog.
pub const LLMS: &str = "llms.yaml";

/// The tasks.
pub const TASKS: &str = "tasks.yaml";

/// The rows of the user table.
pub const USER_ROWS: &str = "users.safetensors";

/// The ids of the user table.
pub const USER_INDEX: &str = "users.idx";

/// The folder of the text encoder, in bundles that have their own.
pub const ENCODER: &str = "encoder";

/// The files that every bundle has besides its manifest.
pub const REQUIRED: [&str; 6] = [ADAPTER, LLMS, SCORER, TASKS, USER_INDEX, USER_ROWS];

/// Returns whether a path stays inside the folder it is joined to, on every operating system.
pub(crate) fn is_inside(name: &str) -> bool {
    let is_plain = |component| matches!(component, Component::Normal(_));
    !name.is_empty() && !name.contains(['\\', ':']) && Path::new(name).components().all(is_plain)
}
