//! Documents: every file and folder that they name exists.

use super::tree::{Source, Tree};

/// Records of the past may name what no longer exists.
const EXEMPT: &[&str] = &["docs/bench/", "CHANGELOG.md"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let guides = tree.sources.iter().filter(|source| source.path.ends_with(".md"));
    let current = guides.filter(|source| !EXEMPT.iter().any(|exempt| source.path.starts_with(exempt)));
    current.flat_map(|source| of_guide(tree, source)).collect()
}

fn of_guide(tree: &Tree, source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for path in paths(tree, line).filter(|path| !exists(tree, path) && !exists(tree, &beside(source, path))) {
            found.push(format!("{}:{}: `{path}` does not exist", source.path, number + 1));
        }
    }
    found
}

/// Returns words in backticks that start with a folder of the repository, and relative link targets.
fn paths<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = &'a str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let inside = quoted.filter(|word| {
        let is_path = word.contains('/') && !word.contains([' ', '<', '*', ':', '@', '{']);
        is_path && word.split('/').next().is_some_and(|top| is_folder(tree, top))
    });
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inside.chain(files.map(|target| target.split_once('#').map_or(target, |(file, _)| file)))
}

/// Resolves a path relative to the document's folder.
fn beside(source: &Source, path: &str) -> String {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn is_folder(tree: &Tree, path: &str) -> bool {
    let prefix = format!("{path}/");
    tree.sources.iter().any(|source| source.path.starts_with(&prefix))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    tree.text(path).is_some() || is_folder(tree, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let guide = "See `gateway/src/gone.rs`, `gateway/src/app.rs`, `gateway`, `a/b` and [this](docs/gone.md).\n";
        let tree = Tree::of(&[("A.md", guide), ("gateway/src/app.rs", "//! x\n"), ("docs/x.md", "")]);
        let expected = ["A.md:1: `gateway/src/gone.rs` does not exist", "A.md:1: `docs/gone.md` does not exist"];
        assert_eq!(problems(&tree), expected);
    }

    #[test]
    fn a_target_is_relative_to_the_documents_folder() {
        let guide = "[a](../x/a.rs) [b](b.md) [c](../b.md)\n";
        let tree = Tree::of(&[("docs/guide.md", guide), ("docs/b.md", ""), ("x/a.rs", "//! x\n")]);
        assert_eq!(problems(&tree), ["docs/guide.md:1: `../b.md` does not exist"]);
    }
}
