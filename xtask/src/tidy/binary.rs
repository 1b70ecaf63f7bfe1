//! Files that are no text: the bundled model, what is fuzzed with, and nothing that a run or a download has left.

use super::tree::Tree;

/// Where such files are.
const FOLDERS: [&str; 2] = ["configs/bundle/", "tests/fuzz/corpus/"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let strays = tree.binaries.iter().filter(|path| !FOLDERS.iter().any(|folder| path.starts_with(folder)));
    strays.map(|path| format!("{path}: is no text; such files are under {}", FOLDERS.join(" and "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_left_is_found() {
        let binaries = ["configs/bundle/scorer.onnx", "left.whl", "docs/page.png"].map(str::to_owned).to_vec();
        let found = problems(&Tree { binaries, ..Tree::default() });
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("left.whl: ") && found[1].starts_with("docs/page.png: "), "{found:?}");
    }
}
