//! The gateway's layers: a lower one never names a higher one, so that each can be read without the next.

use super::tree::{Source, Tree};

/// From low to high; modules of one line may name each other.
const LAYERS: &[&[&str]] = &[
    &["api", "decide"],
    &["config"],
    &["telemetry"],
    &["state", "upstream", "routing"],
    &["proxy"],
    &["server", "admin"],
    &["app"],
    &["command", "cli", "main", "lib"],
];

const GATEWAY: &str = "gateway/src/";

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    tree.under(GATEWAY).filter(|source| source.path.ends_with(".rs")).flat_map(of_file).collect()
}

fn of_file(source: &Source) -> Vec<String> {
    let path = &source.path;
    let own = module(path);
    let Some(own_layer) = layer(own) else {
        return vec![format!("{path}: `{own}` is in no layer; give it one in xtask/src/tidy/layer.rs")];
    };
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for named in names(line) {
            if layer(named).is_some_and(|named_layer| named_layer > own_layer) {
                found.push(format!("{path}:{}: `{own}` names `{named}`, which is a higher layer", number + 1));
            }
        }
    }
    found
}

/// The module of a path: its first folder or file under `src`.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix(GATEWAY).unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a line names as `crate::module`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or(line);
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_layer_that_names_a_higher_one_is_found() {
        let tree = Tree::of(&[
            ("gateway/src/decide/plan.rs", "use crate::proxy::Request;\n"),
            ("gateway/src/proxy/read.rs", "use crate::decide::plan;\nuse crate::config::Config;\n"),
        ]);
        let found = problems(&tree);
        assert_eq!(found, ["gateway/src/decide/plan.rs:1: `decide` names `proxy`, which is a higher layer"]);
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        let found = problems(&Tree::of(&[("gateway/src/novel.rs", "//! x\n")]));
        assert!(found[0].contains("`novel` is in no layer"), "{found:?}");
    }
}
