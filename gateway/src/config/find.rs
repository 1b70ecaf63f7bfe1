//! Where a key stands in a file, for a refusal of a value whose place was not kept when it was read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::Place;

/// A mapping's keys with their values; lists and values that are none have no keys here.
#[derive(Default)]
struct Node(Vec<(String, Spanned<Self>)>);

/// Returns where the value of `key` stands in `text`: by its whole path (`limits.body`), else by the path's end, else where
/// the nearest section around it stands.
pub(super) fn place(text: &str, key: &str) -> Place {
    let mut options = serde_saphyr::Options::default();
    // A number that is none may be what is refused.
    options.non_finite_float_policy = serde_saphyr::NonFiniteFloatPolicy::PassThrough;
    let read = serde_saphyr::from_str_with_options::<Node>(text, options);
    let Ok(root) = read else { return Place { line: 1, column: 1 } };
    let path: Vec<&str> = key.split('.').collect();
    let (whole, nearest) = root.follow(&path);
    if whole {
        return nearest;
    }
    root.search(&path).unwrap_or(nearest)
}

impl Node {
    fn child(&self, key: &str) -> Option<&Spanned<Self>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, child)| child)
    }

    /// Walks `path`; returns whether it leads to its end, and where the last step stands.
    fn follow(&self, path: &[&str]) -> (bool, Place) {
        let (mut node, mut place) = (self, Place { line: 1, column: 1 });
        for key in path {
            let Some(child) = node.child(key) else { return (false, place) };
            (node, place) = (&child.value, Place::of(child));
        }
        (true, place)
    }

    /// Finds `path` below any section.
    fn search(&self, path: &[&str]) -> Option<Place> {
        self.0.iter().find_map(|(_, child)| {
            let (whole, place) = child.value.follow(path);
            if whole { Some(place) } else { child.value.search(path) }
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut node = Node::default();
        while let Some(entry) = map.next_entry()? {
            node.0.push(entry);
        }
        Ok(node)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_path_or_its_end_or_the_section_around_it() {
        let text = "\
version: 1
limits: {body: 0, head: 9}
auth:
  mode: none
  keys:
  - name: a
    limits: {concurrency: 1}
  per_user_limits:
    concurrency: 0
    budget: {day: -1}
retry:
  budget: .nan
empty:
";
        let places = [
            ("limits.head", "2:25"),
            ("auth.mode", "4:9"),
            ("concurrency", "9:18"),
            ("budget.day", "10:19"),
            ("retry.budget", "12:11"),
            ("auth.nothing", "4:3"),
            ("nothing", "1:1"),
        ];
        for (key, expected) in places {
            assert_eq!(place(text, key).to_string(), expected, "{key}");
        }
        assert_eq!(place("{", "limits.head").to_string(), "1:1");
    }
}
