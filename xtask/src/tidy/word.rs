//! Replaced names: the field has a word for each, and they must not come back.

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
    "PASSED_OVER",
    "Peer",
    "Offer",
    "Carried",
    "Door",
    "Pace",
    "Books",
    "Sight",
    "Ticket",
    "Lent",
    "ailed",
    "gave_up",
    "behind_the_ready",
    "may_enter",
    "no_word",
    "shelf",
    "Judge",
    "Border",
    "Belief",
    "Told",
    "foretell",
    "personaroute_spending_unwritten_total",
    "personaroute_spending_unshared_total",
];

/// Archived results keep their names; this file lists the names.
const EXEMPT: &[&str] = &["docs/bench/", "xtask/src/tidy/word.rs"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| !EXEMPT.iter().any(|exempt| source.path.starts_with(exempt))) {
        for (number, line) in source.text.lines().enumerate() {
            for word in words(line).filter(|word| REPLACED.contains(word)) {
                found.push(format!(
                    "{}:{}: `{word}` is a replaced name: use the field's word",
                    source.path,
                    number + 1
                ));
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
        let found = problems(&Tree::of(&[("gateway/src/a.rs", &text), ("docs/bench/a.md", &name)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("gateway/src/a.rs:1:"));
    }
}
