//! Private names that the field has a word for: each was replaced once, and must not come back.

use super::tree::Tree;

/// Names without an ordinary use in this code.
const REPLACED: &[&str] = &[
    "Letter",
    "Seat",
    "Roster",
    "Courier",
    "Untold",
    "Desk",
    "Purse",
    "Tray",
    "Patience",
    "PATIENCE",
    "AsItCame",
    "Foreign",
    "Inbound",
    "Tally",
    "Offered",
    "LAST_WORDS",
    "BREATH",
    "Unfamiliar",
    "Newcomer",
    "Foresight",
    "speaks_for_users",
    "user_limits",
    "client_head",
    "client_body",
    "client_read",
    "unwritten",
    "unshared",
    "overtaken",
    "passed_over",
];

/// Records of past decisions keep the names of their time; this file names them.
const EXEMPT: &[&str] = &["docs/adr/", "docs/bench/", "xtask/src/tidy/word.rs"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| !EXEMPT.iter().any(|exempt| source.path.starts_with(exempt))) {
        for (number, line) in source.text.lines().enumerate() {
            for word in words(line).filter(|word| REPLACED.contains(word)) {
                found.push(format!("{}:{}: `{word}` has a name of the field", source.path, number + 1));
            }
        }
    }
    found
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_name_is_found_as_a_word_and_not_inside_another() {
        let [name, key] = [["Se", "at"].concat(), ["user", "_limits"].concat()];
        let text = format!("struct {name};\nlet per_{key} = {name}ed;\n");
        let found = problems(&Tree::of(&[("gateway/src/a.rs", &text), ("docs/adr/0001-a.md", &name)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("gateway/src/a.rs:1:"));
    }
}
