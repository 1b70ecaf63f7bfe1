//! Circles: modules of one folder that name each other, directly or around.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Edge;
use super::parse::Names;

/// Returns every circle as the edges among its modules, each module in one circle at most.
pub(super) fn circles(edges: &BTreeSet<&Edge>) -> Vec<Vec<Edge>> {
    let reached = reached(edges);
    let is_circular = |edge: &&&Edge| reached.get(&edge.to).is_some_and(|far| far.contains(&edge.from));
    let mut circles: BTreeMap<BTreeSet<&Names>, Vec<Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(is_circular) {
        // Those that reach a module and are reached from it are its circle.
        let far = reached.get(&edge.from).into_iter().flatten();
        let members = far.copied().filter(|name| reached.get(name).is_some_and(|back| back.contains(&edge.from)));
        circles.entry(members.collect()).or_default().push((*edge).clone());
    }
    circles.into_values().collect()
}

/// For each module, all that it leads to.
fn reached<'a>(edges: &BTreeSet<&'a Edge>) -> BTreeMap<&'a Names, BTreeSet<&'a Names>> {
    let mut reached: BTreeMap<&Names, BTreeSet<&Names>> = BTreeMap::new();
    for edge in edges {
        reached.entry(&edge.from).or_default().insert(&edge.to);
    }
    loop {
        let before: usize = reached.values().map(BTreeSet::len).sum();
        let one_further = |near: &BTreeSet<&'a Names>| -> BTreeSet<&'a Names> {
            near.iter().filter_map(|name| reached.get(name)).flatten().copied().collect()
        };
        let further: BTreeMap<&Names, BTreeSet<&Names>> =
            reached.iter().map(|(from, near)| (*from, near | &one_further(near))).collect();
        reached = further;
        if reached.values().map(BTreeSet::len).sum::<usize>() == before {
            return reached;
        }
    }
}
