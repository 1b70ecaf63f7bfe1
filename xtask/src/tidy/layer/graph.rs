//! Which module of a crate names which: paths are followed through imports and re-exports to the module that has the item.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{self, Module, Names};
use crate::tidy::tree::Tree;

/// Re-exports of re-exports are followed so far; real ones need two.
const MOST_STEPS: usize = 8;

/// Two modules of one folder, of which the first names something inside the second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: Names,
    pub(super) to: Names,
}

/// The modules of one crate.
pub(super) struct Crate {
    modules: BTreeMap<Names, Module>,
}

impl Crate {
    /// Parses every file under a folder, which ends in `/src/`.
    pub(super) fn read(tree: &Tree, folder: &str) -> Result<Self, Vec<String>> {
        let (mut modules, mut problems) = (BTreeMap::new(), Vec::new());
        for source in tree.under(folder).filter(|source| source.path.ends_with(".rs")) {
            let inside = source.path.strip_prefix(folder).unwrap_or(&source.path).trim_end_matches(".rs");
            let is_root = matches!(inside, "lib" | "main");
            let own = if is_root { Names::new() } else { inside.split('/').map(str::to_owned).collect() };
            match parse::modules(&source.path, own, &source.text) {
                // A library and its program are both the root, of different crates.
                Ok(found) => found.into_iter().for_each(|(own, module)| {
                    modules.entry(own).or_insert(module);
                }),
                Err(error) => {
                    problems.push(format!("{}:{}: {error}", source.path, error.span().start().line));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut crate_modules = Self { modules };
        crate_modules.drop_tests();
        Ok(crate_modules)
    }

    /// Takes out the files that only tests have.
    fn drop_tests(&mut self) {
        let of_module = |(own, module): (&Names, &Module)| {
            let children = module.test_modules.iter().map(|name| own.iter().chain([name]).cloned().collect());
            children.collect::<Vec<Names>>()
        };
        let tests: Vec<Names> = self.modules.iter().flat_map(of_module).collect();
        self.modules.retain(|own, _| !tests.iter().any(|test| own.starts_with(test)));
    }

    /// The modules right under the crate's root.
    pub(super) fn top(&self) -> BTreeSet<&str> {
        self.modules.keys().filter_map(|names| names.first().map(String::as_str)).collect()
    }

    /// Every edge between modules of one folder, with the first place that makes it.
    ///
    /// A module and those nested in it are one idea in several files: what they name of each other is no edge.
    pub(super) fn edges(&self) -> BTreeMap<Edge, String> {
        let mut edges = BTreeMap::new();
        for (own, module) in &self.modules {
            for mention in &module.mentions {
                let Some(named) = self.resolve(own, &mention.path, 0) else { continue };
                let shared = own.iter().zip(&named).take_while(|(a, b)| a == b).count();
                let (Some(from), Some(to)) = (own.get(..=shared), named.get(..=shared)) else { continue };
                let edge = Edge { from: from.to_vec(), to: to.to_vec() };
                edges.entry(edge).or_insert_with(|| format!("{}:{}", module.file, mention.line));
            }
        }
        edges
    }

    /// Returns the module that has what a path names, as seen from `own`; nothing when that is another crate's.
    fn resolve(&self, own: &[String], path: &[String], steps: usize) -> Option<Names> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Names::new(),
            "self" => own.to_vec(),
            "super" => own.split_last()?.1.to_vec(),
            _ => {
                rest = path;
                own.to_vec()
            }
        };
        let is_local = rest.len() < path.len();
        let start = at.len();
        while let Some((name, after)) = rest.split_first() {
            let child: Names = at.iter().chain([name]).cloned().collect();
            if name == "super" {
                at.pop()?;
            } else if self.modules.contains_key(&child) {
                at = child;
            } else if let Some(import) = self.import(&at, name, steps) {
                let whole: Names = import.iter().chain(after).cloned().collect();
                return self.resolve(&at, &whole, steps + 1).or_else(|| is_local.then_some(at));
            } else {
                break;
            }
            rest = after;
        }
        (is_local || at.len() > start).then_some(at)
    }

    fn import(&self, at: &[String], name: &str, steps: usize) -> Option<&Names> {
        // An import of itself, `use name;`, leads nowhere.
        let import = self.modules.get(at)?.imports.get(name)?;
        (steps < MOST_STEPS && import.as_slice() != [name.to_owned()]).then_some(import)
    }
}
