//! Layers and circles: a lower module never names a higher one, and no modules of a folder name each other in a circle.

mod circle;
mod exception;
mod graph;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

use self::exception::EXCEPTIONS;
use self::graph::{Crate, Edge};
use super::tree::Tree;

/// A crate whose modules are checked.
struct Rule {
    folder: &'static str,
    /// From low to high; modules of one line may name each other, though not in a circle. Without any, only circles count.
    layers: &'static [&'static [&'static str]],
}

const RULES: &[Rule] = &[
    Rule {
        folder: "gateway/src/",
        layers: &[
            &["api", "decide"],
            &["config"],
            &["telemetry"],
            &["state", "upstream", "routing"],
            &["learning"],
            &["proxy"],
            &["server", "admin"],
            &["app"],
            &["command", "cli"],
        ],
    },
    Rule {
        folder: "training/src/",
        layers: &[
            &["data"],
            &["graph"],
            &["model"],
            &["closed_form"],
            &["gnn"],
            &["train"],
            &["config"],
            &["eval", "baseline", "vote"],
            &["export", "report"],
            &["command", "cli"],
        ],
    },
    Rule { folder: "plugin/bundle/src/", layers: &[] },
    Rule { folder: "plugin/guest/src/", layers: &[] },
    Rule { folder: "plugin/host/src/", layers: &[] },
    Rule { folder: "tests/harness/src/", layers: &[] },
    Rule { folder: "xtask/src/", layers: &[] },
];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule.problems(tree, EXCEPTIONS)).collect()
}

impl Rule {
    fn problems(&self, tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<String> {
        let modules = match Crate::read(tree, self.folder) {
            Ok(modules) => modules,
            Err(problems) => return problems,
        };
        let edges = modules.edges();
        let (excepted, kept): (BTreeSet<&Edge>, BTreeSet<&Edge>) = edges.keys().partition(|edge| {
            exceptions.iter().any(|(from, to)| *from == self.name(&edge.from) && *to == self.name(&edge.to))
        });
        let mut found = self.unplaced(&modules);
        found.extend(kept.iter().filter(|edge| self.is_upward(edge)).map(|edge| self.upward(edge, &edges)));
        found.extend(circle::circles(&kept).iter().map(|circle| self.circle(circle, &edges)));
        found.extend(self.unneeded(exceptions, &excepted, &kept));
        found
    }

    /// The path of a module from the repository's root, as an exception spells it.
    fn name(&self, module: &[String]) -> String {
        format!("{}{}", self.folder, module.join("/"))
    }

    fn layer(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.contains(&module))
    }

    fn unplaced(&self, modules: &Crate) -> Vec<String> {
        if self.layers.is_empty() {
            return Vec::new();
        }
        let without = modules.top().into_iter().filter(|module| self.layer(module).is_none());
        without
            .map(|module| format!("{}{module}: is in no layer; give it one in xtask/src/tidy/layer.rs", self.folder))
            .collect()
    }

    fn is_upward(&self, edge: &Edge) -> bool {
        let [from] = edge.from.as_slice() else { return false };
        let Some(to) = edge.to.first() else { return false };
        self.layer(from) < self.layer(to)
    }

    fn upward(&self, edge: &Edge, places: &BTreeMap<Edge, String>) -> String {
        let place = places.get(edge).map_or("", String::as_str);
        format!("{place}: `{}` names `{}`, which is a higher layer", edge.from.join("::"), edge.to.join("::"))
    }

    fn circle(&self, circle: &[Edge], places: &BTreeMap<Edge, String>) -> String {
        let arrows = circle.iter().map(|edge| {
            let place = places.get(edge).map_or("", String::as_str);
            format!("{} -> {} ({place})", edge.from.join("::"), edge.to.join("::"))
        });
        format!("{}: a circle of modules: {}", self.folder, arrows.collect::<Vec<_>>().join(", "))
    }

    /// Exceptions without which nothing would be found.
    fn unneeded(&self, exceptions: &[(&str, &str)], excepted: &BTreeSet<&Edge>, kept: &BTreeSet<&Edge>) -> Vec<String> {
        let mut found = Vec::new();
        for (from, to) in exceptions.iter().filter(|(from, _)| from.starts_with(self.folder)) {
            let edge = excepted.iter().find(|edge| self.name(&edge.from) == *from && self.name(&edge.to) == *to);
            let is_needed = edge.is_some_and(|edge| {
                let with: BTreeSet<&Edge> = kept.iter().copied().chain([*edge]).collect();
                self.is_upward(edge) || circle::circles(&with).iter().flatten().any(|circular| circular == *edge)
            });
            if !is_needed {
                found.push(format!("xtask/src/tidy/layer/exception.rs: {from} -> {to} is no longer needed"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { folder: "gateway/src/", layers: &[&["api", "decide"], &["config"], &["proxy"]] };

    fn found(files: &[(&str, &str)], exceptions: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("gateway/src/{path}.rs"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        RULE.problems(&Tree::of(&files), exceptions)
    }

    #[test]
    fn each_leaf_of_a_grouped_import_is_seen() {
        let grouped = "//! x\nuse crate::{\n    api,\n    proxy::{self, read},\n    config::Config,\n};\n";
        let files =
            [("api", grouped), ("config", ""), ("proxy", "use crate::{api::x, config::y};\n"), ("proxy/read", "")];
        let expected = [
            "gateway/src/api.rs:5: `api` names `config`, which is a higher layer",
            "gateway/src/api.rs:4: `api` names `proxy`, which is a higher layer",
        ];
        assert_eq!(found(&files, &[])[..2], expected);
    }

    #[test]
    fn paths_in_code_macros_attributes_and_nested_modules_are_seen() {
        let ways = [
            "fn f() { crate::proxy::run(); }",
            "fn f() -> Vec<crate::proxy::Request> { todo() }",
            "fn f() { assert_eq!(crate::proxy::run(), 1); }",
            "#[serde(with = \"crate::proxy::text\")] struct A;",
            "mod inner { use super::super::proxy::run; }",
            "mod inner { mod tests { use crate::{proxy as p}; } }",
        ];
        for way in ways {
            let found = found(&[("api", way), ("proxy", "")], &[]);
            assert_eq!(found, ["gateway/src/api.rs:1: `api` names `proxy`, which is a higher layer"], "{way}");
        }
        for harmless in [
            "// crate::proxy",
            "/// [`crate::proxy`]\nstruct A;",
            "use proxy::a;",
            "use ::proxy;",
            "#[cfg(test)] mod tests { use crate::proxy; }",
            "#[cfg(test)] use crate::proxy;",
            "#[cfg(test)] impl A { fn f() { crate::proxy::run(); } }",
            "#[cfg(test)] fn f() { crate::proxy::run(); }",
        ] {
            assert_eq!(found(&[("api", harmless), ("proxy", "")], &[]), Vec::<String>::new(), "{harmless}");
        }
        let files = [("api", "#[cfg(test)] mod tests;"), ("api/tests", "use crate::proxy;"), ("proxy", "")];
        assert_eq!(found(&files, &[]), Vec::<String>::new());
    }

    #[test]
    fn modules_of_a_folder_that_name_each_other_are_a_circle() {
        let files = [
            ("api", "pub use self::a::A;\nuse self::c::C;\nmod a;\n"),
            ("api/a", "use super::b::B;\n"),
            ("api/b", "use crate::api::c;\n"),
            // Through the re-export of their parent, c names a.
            ("api/c", "use super::{A, other};\n"),
            ("api/d", "use super::A;\n"),
        ];
        let circle = "gateway/src/: a circle of modules: api::a -> api::b (gateway/src/api/a.rs:1), \
                      api::b -> api::c (gateway/src/api/b.rs:1), api::c -> api::a (gateway/src/api/c.rs:1)";
        assert_eq!(found(&files, &[]), [circle]);
    }

    #[test]
    fn an_exception_counts_only_while_it_is_needed() {
        let files = [("api", "use crate::proxy::x;\n"), ("config", "use crate::api::y;\n"), ("proxy", "")];
        assert_eq!(found(&files, &[("gateway/src/api", "gateway/src/proxy")]), Vec::<String>::new());
        let unneeded = |from, to| format!("xtask/src/tidy/layer/exception.rs: {from} -> {to} is no longer needed");
        for (from, to) in [("gateway/src/config", "gateway/src/api"), ("gateway/src/api", "gateway/src/gone")] {
            let found = found(&files, &[(from, to), ("training/src/a", "training/src/b")]);
            assert!(found.contains(&unneeded(from, to)) && found.len() == 2, "{found:?}");
        }
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        let found = found(&[("novel", "//! x\n")], &[]);
        assert_eq!(found, ["gateway/src/novel: is in no layer; give it one in xtask/src/tidy/layer.rs"]);
    }

    #[test]
    fn a_file_that_does_not_parse_is_named_with_its_line() {
        let found = found(&[("api", "//! x\nfn (\n")], &[]);
        assert!(found[0].starts_with("gateway/src/api.rs:2: "), "{found:?}");
    }
}
