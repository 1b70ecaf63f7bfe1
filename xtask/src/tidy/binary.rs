//! Binary files: only in the default bundle, the fuzzing corpus and the fixtures.

use super::tree::Tree;

/// Where binary files may be.
const FOLDERS: [&str; 3] = ["configs/bundle/", "tests/fixtures/", "tests/fuzz/corpus/"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let strays = tree.binaries.iter().filter(|path| !FOLDERS.iter().any(|folder| path.starts_with(folder)));
    strays.map(|path| format!("{path}: a binary file; allowed only in {}", FOLDERS.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_elsewhere_is_found() {
        let binaries = ["configs/bundle/scorer.onnx", "left.whl", "docs/page.png"].map(str::to_owned).to_vec();
        let found = problems(&Tree { binaries, ..Tree::default() });
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("left.whl: ") && found[1].starts_with("docs/page.png: "), "{found:?}");
    }
}
