//! Parts of an installed tree: `PREFIX/bin` has the programs, and `PREFIX/lib/personaroute` has what they load.

use std::path::{Path, PathBuf};

/// Folder of the parts, from the prefix.
const FOLDER: &str = "lib/personaroute";

/// ONNX Runtime's library.
pub const ONNXRUNTIME: &str = "libonnxruntime.so";
/// The routing plugin.
pub const PLUGIN: &str = "personaroute.wasm";
/// Folder of the text encoder.
pub const ENCODER: &str = "encoder";

/// Returns the part `name` of the tree that this program is installed in; `None` when it is not there.
pub fn part(name: &str) -> Option<PathBuf> {
    part_of(&std::env::current_exe().ok()?, name)
}

fn part_of(program: &Path, name: &str) -> Option<PathBuf> {
    let part = program.parent()?.parent()?.join(FOLDER).join(name);
    part.exists().then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_lib_beside_bin() {
        let prefix = tempfile::tempdir().unwrap();
        let program = prefix.path().join("bin/personaroute");
        assert_eq!(part_of(&program, ONNXRUNTIME), None);
        let library = prefix.path().join("lib/personaroute/libonnxruntime.so");
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        std::fs::write(&library, "").unwrap();
        assert_eq!(part_of(&program, ONNXRUNTIME), Some(library));
    }
}
