//! Converts the tool calls of a chunk stream, which may interleave, to content blocks, which must not.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::super::json::text;

/// The tool calls in the order in which they started.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// Number of calls whose block is complete; the next call is being written.
    finished: usize,
}

/// One tool call, as far as it has arrived.
#[derive(Debug)]
struct Call {
    /// OpenAI's index of the call.
    number: u64,
    id: String,
    name: String,
    arguments: String,
    /// Bytes of `arguments` already written; none before the block has started.
    out: Option<usize>,
}

/// The next fragment to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The block that starts with this fragment, if any.
    pub(super) begin: Option<Value>,
    /// The arguments to add to the current block.
    pub(super) arguments: String,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns whether the arguments of a call are incomplete.
    pub(super) fn is_half(&self) -> bool {
        self.calls.get(self.finished..).unwrap_or_default().iter().any(|call| !is_whole(&call.arguments))
    }

    /// Takes a fragment of a call.
    pub(super) fn read(&mut self, fragment: &Value) {
        let number = self.number(fragment);
        let function = fragment.get("function").unwrap_or(&Value::Null);
        let arguments = text(function, "arguments");
        if let Some(known) = self.calls.iter_mut().find(|call| call.number == number) {
            known.arguments.push_str(arguments);
            return;
        }
        let id = fragment.get("id").and_then(Value::as_str).map_or_else(|| format!("call_{number}"), str::to_owned);
        let (name, arguments) = (text(function, "name").to_owned(), arguments.to_owned());
        self.calls.push(Call { number, id, name, arguments, out: None });
    }

    /// Returns the next fragment. A block ends, and the next one starts, once its arguments are complete JSON. If `all` is
    /// set, no more fragments will arrive, and every block ends.
    pub(super) fn next(&mut self, all: bool) -> Option<Piece> {
        loop {
            let is_last = self.finished + 1 >= self.calls.len();
            let call = self.calls.get_mut(self.finished)?;
            let out = call.out.replace(call.arguments.len());
            let arguments = call.arguments.get(out.unwrap_or(0)..).unwrap_or_default();
            if out.is_none() || !arguments.is_empty() {
                let begin = || json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
                return Some(Piece { begin: out.is_none().then(begin), arguments: arguments.to_owned() });
            }
            if !all && (is_last || !is_whole(&call.arguments)) {
                return None;
            }
            self.finished += 1;
        }
    }

    /// Returns the index of a call. Some upstreams omit it; an id then starts a new call.
    fn number(&self, fragment: &Value) -> u64 {
        let last = self.calls.last().map(|call| call.number);
        let begins = fragment.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        let next = last.map_or(0, |last| last.saturating_add(1));
        let unnumbered = if begins { next } else { last.unwrap_or(0) };
        fragment.get("index").and_then(Value::as_u64).unwrap_or(unnumbered)
    }
}

fn is_whole(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(number: u64, id: Option<&str>, arguments: &str) -> Value {
        json!({"index": number, "id": id, "function": {"name": id, "arguments": arguments}})
    }

    fn pieces(calls: &mut Calls, all: bool) -> Vec<(Option<String>, String)> {
        let id = |begin: Value| begin["id"].as_str().unwrap().to_owned();
        std::iter::from_fn(|| calls.next(all)).map(|piece| (piece.begin.map(id), piece.arguments)).collect()
    }

    #[test]
    fn interleaved_calls_become_consecutive_blocks() {
        let mut calls = Calls::default();
        calls.read(&fragment(0, Some("a"), ""));
        calls.read(&fragment(1, Some("b"), ""));
        calls.read(&fragment(0, None, "{\"x\""));
        calls.read(&fragment(1, None, "{\"y\":2"));
        assert_eq!(pieces(&mut calls, false), [(Some("a".to_owned()), "{\"x\"".to_owned())]);
        calls.read(&fragment(0, None, ":1}"));
        let expected = [(None, ":1}".to_owned()), (Some("b".to_owned()), "{\"y\":2".to_owned())];
        assert_eq!(pieces(&mut calls, false), expected);
        calls.read(&fragment(1, None, "}"));
        assert_eq!(pieces(&mut calls, false), [(None, "}".to_owned())]);
    }

    #[test]
    fn a_truncated_call_does_not_hold_back_the_others_at_the_end() {
        let mut calls = Calls::default();
        calls.read(&fragment(0, Some("a"), "{\"x"));
        calls.read(&fragment(1, Some("b"), "{}"));
        assert_eq!(pieces(&mut calls, false).len(), 1);
        assert_eq!(pieces(&mut calls, true), [(Some("b".to_owned()), "{}".to_owned())]);
        assert_eq!(pieces(&mut calls, true), []);
    }
}
