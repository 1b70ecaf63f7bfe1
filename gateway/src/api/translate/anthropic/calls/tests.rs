//! Fragments of tool calls in the habits of several vendors.

use proptest::prelude::*;

use super::*;

fn fragment(index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut fragment = json!({"function": {"arguments": arguments}});
    if let Some(index) = index {
        fragment["index"] = json!(index);
    }
    if let Some(id) = id {
        fragment["id"] = json!(id);
    }
    if let Some(name) = name {
        fragment["function"]["name"] = json!(name);
    }
    fragment
}

fn pieces(calls: &mut Calls, all: bool) -> Vec<(Option<String>, String)> {
    std::iter::from_fn(|| calls.next(all, "r"))
        .map(|piece| (piece.begin.map(|begin| begin.id), piece.arguments))
        .collect()
}

/// Returns name and arguments of every call, as blocks that follow one another.
fn assembled(fragments: &[Value]) -> Vec<(String, String)> {
    let mut calls = Calls::default();
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut take = |piece: Piece| {
        if let Some(begin) = piece.begin {
            blocks.push((begin.name, String::new()));
        }
        blocks.last_mut().unwrap().1.push_str(&piece.arguments);
    };
    for fragment in fragments {
        calls.read(fragment);
        std::iter::from_fn(|| calls.next(false, "r")).for_each(&mut take);
    }
    std::iter::from_fn(|| calls.next(true, "r")).for_each(&mut take);
    blocks
}

#[test]
fn interleaved_calls_become_consecutive_blocks() {
    let mut calls = Calls::default();
    calls.read(&fragment(Some(0), Some("a"), Some("f"), ""));
    calls.read(&fragment(Some(1), Some("b"), Some("g"), ""));
    calls.read(&fragment(Some(0), None, None, "{\"x\""));
    calls.read(&fragment(Some(1), None, None, "{\"y\":2"));
    assert_eq!(pieces(&mut calls, false), [(Some("a".to_owned()), "{\"x\"".to_owned())]);
    calls.read(&fragment(Some(0), None, None, ":1}"));
    let expected = [(None, ":1}".to_owned()), (Some("b".to_owned()), "{\"y\":2".to_owned())];
    assert_eq!(pieces(&mut calls, false), expected);
    calls.read(&fragment(Some(1), None, None, "}"));
    assert_eq!(pieces(&mut calls, false), [(None, "}".to_owned())]);
}

#[test]
fn a_truncated_call_does_not_hold_back_the_others_at_the_end() {
    let mut calls = Calls::default();
    calls.read(&fragment(Some(0), Some("a"), Some("f"), "{\"x"));
    calls.read(&fragment(Some(1), Some("b"), Some("g"), "{}"));
    let expected = [(Some("a".to_owned()), "{\"x".to_owned()), (Some("b".to_owned()), "{}".to_owned())];
    assert_eq!(pieces(&mut calls, true), expected);
}

#[test]
fn calls_without_an_id_get_one_that_depends_on_the_response() {
    let id = |response: &str| {
        let mut calls = Calls::default();
        calls.read(&fragment(Some(0), Some(""), Some("f"), "{}"));
        calls.next(true, response).unwrap().begin.unwrap().id
    };
    assert_ne!(id("one"), id("two"));
}

/// How a vendor marks the fragments of calls.
#[derive(Debug, Clone, Copy)]
struct Habit {
    has_index: bool,
    is_numbered: bool,
    has_id: bool,
    repeats_id: bool,
    repeats_name: bool,
    is_object: bool,
}

/// Returns the fragments of `calls` (name, JSON arguments), each cut after `cut` bytes, as a vendor with `habit` sends them.
fn sent(calls: &[(String, String)], cut: usize, habit: Habit) -> Vec<Value> {
    let mut fragments = Vec::new();
    for (number, (name, arguments)) in calls.iter().enumerate() {
        let id = format!("id-{number}");
        let index = habit.has_index.then_some(if habit.is_numbered { number as u64 } else { 0 });
        let first = habit.has_id.then_some(id.as_str());
        if habit.is_object {
            let mut whole = fragment(index, first, Some(name), "");
            whole["function"]["arguments"] = serde_json::from_str(arguments).unwrap();
            fragments.push(whole);
            continue;
        }
        let cut = cut.min(arguments.len());
        fragments.push(fragment(index, first, Some(name), &arguments[..cut]));
        let again = first.filter(|_| habit.repeats_id);
        let name_again = habit.repeats_name.then_some(name.as_str());
        if cut < arguments.len() {
            fragments.push(fragment(index, again, name_again, &arguments[cut..]));
        }
    }
    fragments
}

fn habit() -> impl Strategy<Value = Habit> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    flags.prop_map(|(has_index, is_numbered, has_id, repeats_id, repeats_name, is_object)| {
        // Nothing tells two calls apart that have no id and the same index, unless the first is complete.
        Habit { has_index, is_numbered, has_id, repeats_id, repeats_name, is_object }
    })
}

proptest! {
    #[test]
    fn the_same_calls_come_out_whatever_the_vendors_habits(
        values in prop::collection::vec((0_u32..3, 0_u64..1000), 1..5),
        cut in 0_usize..20,
        habit in habit(),
    ) {
        let calls: Vec<(String, String)> =
            values.iter().map(|(name, value)| (format!("tool{name}"), format!("{{\"n\":{value}}}"))).collect();
        let read = assembled(&sent(&calls, cut, habit));
        prop_assert_eq!(read, calls);
    }
}
