//! Rust files: at most 500 lines, a `//!` line first, no `mod.rs`, no ignored tests, no to-dos, no sleeps in tests.

use super::tree::{Source, Tree};

/// A file must be readable from top to bottom.
const MOST_LINES: usize = 500;

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    tree.rust().flat_map(of_file).collect()
}

fn of_file(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > MOST_LINES {
        found.push(format!("{path}: {lines} lines, at most {MOST_LINES}"));
    }
    if !source.text.starts_with("//! ") {
        found.push(format!("{path}: the first line is not a `//!` line that describes the file"));
    }
    if path.ends_with("/mod.rs") {
        found.push(format!("{path}: modules are `foo.rs` beside `foo/`"));
    }
    if is_test(path) {
        for word in ["time::sleep(", "thread::sleep", "yield_now("] {
            for (number, _) in source.text.lines().enumerate().filter(|(_, line)| line.contains(word)) {
                found.push(format!("{path}:{}: `{word}`: tests wait for conditions, see `wait_until!`", number + 1));
            }
        }
    }
    // Spelled in pieces, so that this file does not find itself.
    for word in [["#[", "ignore"], ["todo", "!("], ["unimplemented", "!("], ["FIX", "ME"]] {
        let word = word.concat();
        for (number, _) in source.text.lines().enumerate().filter(|(_, line)| line.contains(&word)) {
            found.push(format!("{path}:{}: `{word}`", number + 1));
        }
    }
    found
}

/// Whether a file holds tests alone.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/it/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_named_with_its_file() {
        let long = format!("//! long\n{}", "\n".repeat(MOST_LINES));
        let ignored = ["//! x\n#[", "ignore]\n"].concat();
        let tree = Tree::of(&[("a.rs", &long), ("b.rs", "use x;\n"), ("c/mod.rs", "//! x\n"), ("d.rs", &ignored)]);
        let found = problems(&tree);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("a.rs: 501 lines"));
        assert!(found[1].starts_with("b.rs: the first line"));
        assert!(found[2].starts_with("c/mod.rs"));
        assert!(found[3].starts_with("d.rs:2:"));
    }

    #[test]
    fn a_test_that_sleeps_is_found() {
        let sleeps = "//! x\ntokio::time::sleep(pause).await;\n";
        let files = ["tests/it/a.rs", "gateway/src/a/tests.rs", "gateway/src/a.rs"].map(|path| (path, sleeps));
        let found = problems(&Tree::of(&files));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("tests/it/a.rs:2: `time::sleep(`"));
    }

    #[test]
    fn a_tidy_file_raises_nothing() {
        assert!(problems(&Tree::of(&[("a.rs", "//! One idea.\n")])).is_empty());
    }
}
