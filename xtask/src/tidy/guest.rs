//! Test coverage: every test guest and configuration is used by a test; every file in `tests/it` is a module.

use super::tree::Tree;

const BINARY: &str = "tests/it/";

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut found = guests(tree);
    found.extend(configurations(tree));
    found.extend(modules(tree));
    found
}

/// Finds guests that no test uses.
fn guests(tree: &Tree) -> Vec<String> {
    let folder = "tests/guests/examples/";
    let names = tree.under(folder).filter_map(|source| source.path.strip_prefix(folder)?.strip_suffix(".rs"));
    let is_tested = |name: &str| tree.under(BINARY).any(|test| test.text.contains(&format!("\"{name}\"")));
    names
        .filter(|name| !is_tested(name))
        .map(|name| format!("{folder}{name}.rs: no test in {BINARY} names it"))
        .collect()
}

/// Finds configurations that no test reads. People copy them, so each must work.
fn configurations(tree: &Tree) -> Vec<String> {
    let names = tree.under("configs/").filter_map(|source| {
        let name = source.path.strip_prefix("configs/")?;
        (name.ends_with(".yaml") && !name.contains('/')).then_some(name)
    });
    let is_tested = |name: &str| tree.rust().any(|file| is_test(&file.path, &file.text) && file.text.contains(name));
    names.filter(|name| !is_tested(name)).map(|name| format!("configs/{name}: no test names it")).collect()
}

fn is_test(path: &str, text: &str) -> bool {
    path.starts_with("tests/") || text.contains("#[test]") || text.contains("#[cfg(test)]")
}

/// Finds files that no module declares: they are not compiled, and their tests do not run.
fn modules(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let files = tree.under(BINARY).filter(|source| source.path.ends_with(".rs"));
    for source in files.filter(|source| source.path != "tests/it/main.rs") {
        let stem = source.path.trim_end_matches(".rs");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let parent = if folder == "tests/it" { "tests/it/main.rs".to_owned() } else { format!("{folder}.rs") };
        let declares = |line: &str| line.trim_start_matches("pub ").trim_end() == format!("mod {name};");
        if !tree.text(&parent).is_some_and(|text| text.lines().any(declares)) {
            found.push(format!("{}: {parent} has no `mod {name};`", source.path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_a_configuration_and_a_file_without_a_test_are_found() {
        let tree = Tree::of(&[
            ("configs/a.yaml", "version: 1"),
            ("configs/b.yaml", "version: 1"),
            ("tests/guests/examples/loops.rs", "//! x\n"),
            ("tests/guests/examples/traps.rs", "//! x\n"),
            ("tests/it/host.rs", "//! x\nmod limits;\n"),
            ("tests/it/host/limits.rs", "//! \"loops\" a.yaml\n"),
            ("tests/it/host/stray.rs", "//! x\n"),
            ("tests/it/main.rs", "//! x\nmod host;\n"),
        ]);
        let expected = [
            "tests/guests/examples/traps.rs: no test in tests/it/ names it",
            "configs/b.yaml: no test names it",
            "tests/it/host/stray.rs: tests/it/host.rs has no `mod stray;`",
        ];
        assert_eq!(problems(&tree), expected);
    }
}
