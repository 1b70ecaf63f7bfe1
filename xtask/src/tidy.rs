//! Rules of this repository that no compiler checks: file sizes, first lines, layers, words, and a test for each part.

mod binary;
mod guest;
mod layer;
mod link;
mod source;
mod text;
mod tree;
mod word;

use anyhow::{Result, bail};

use self::tree::Tree;
use crate::workspace;

/// Fails and prints every violation, one per line.
pub(crate) fn run() -> Result<()> {
    let problems = problems(&Tree::read(&workspace::root())?);
    if problems.is_empty() {
        eprintln!("tidy: clean");
        return Ok(());
    }
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    bail!("{} violations", problems.len());
}

fn problems(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(source::problems(tree));
    found.extend(layer::problems(tree));
    found.extend(guest::problems(tree));
    found.extend(text::problems(tree));
    found.extend(binary::problems(tree));
    found.extend(link::problems(tree));
    found.extend(word::problems(tree));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let tree = Tree::read(&workspace::root()).unwrap();
        assert_eq!(problems(&tree), Vec::<String>::new());
    }
}
