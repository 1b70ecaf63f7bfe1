//! Converts the tool calls of a chunk stream, which may interleave, to content blocks, which must not.
//!
//! Upstreams differ in how they mark the fragments of a call: by index, by id, by both, or by their order alone; some number
//! all calls 0, repeat the id or the name in each fragment, or send the arguments as an object.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::super::{json::text, tool_id};

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
    /// The index that the upstream gave it, if any.
    index: Option<u64>,
    /// The id that the upstream gave it; empty if none.
    id: String,
    /// Whether another call had this id before.
    is_repeated_id: bool,
    name: String,
    arguments: String,
    /// Bytes of `arguments` already written; none before the block has started.
    out: Option<usize>,
}

/// The next fragment to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The call whose block starts with this fragment, if any.
    pub(super) begin: Option<Begin>,
    /// The arguments to add to the current block.
    pub(super) arguments: String,
}

/// The start of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// The id, as Anthropic's clients take it.
    pub(super) id: String,
    /// The name that the upstream uses.
    pub(super) name: String,
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
        let function = fragment.get("function").unwrap_or(&Value::Null);
        let arguments = arguments_of(function);
        let (index, id) = (fragment.get("index").and_then(Value::as_u64), text(fragment, "id"));
        let name = text(function, "name");
        if let Some(known) = self.find(index, id, name) {
            known.arguments.push_str(&arguments);
            if known.id.is_empty() {
                known.id.push_str(id);
            }
            if known.name.is_empty() {
                known.name.push_str(name);
            }
            return;
        }
        let is_repeated_id = !id.is_empty() && self.calls.iter().any(|call| call.id == id);
        let (id, name) = (id.to_owned(), name.to_owned());
        self.calls.push(Call { index, id, is_repeated_id, name, arguments, out: None });
    }

    /// Returns the call that a fragment with this index, id and name continues; none if it starts a new one.
    fn find(&mut self, index: Option<u64>, id: &str, name: &str) -> Option<&mut Call> {
        let is_same_index = |call: &Call| index.is_none() || call.index.is_none() || call.index == index;
        let at = if id.is_empty() {
            // Without an index the last call goes on.
            let at = self.calls.iter().rposition(is_same_index)?;
            let call = self.calls.get(at)?;
            // A name starts a call, unless the upstream repeats it in each fragment of the same one.
            let is_next = !name.is_empty() && !call.name.is_empty() && (name != call.name || is_whole(&call.arguments));
            (!is_next).then_some(at)
        } else {
            let named = self.calls.iter().rposition(|call| call.id == id && is_same_index(call));
            // The id may follow the index.
            named.or_else(|| {
                self.calls.iter().rposition(|call| call.id.is_empty() && call.index.is_some() && call.index == index)
            })
        };
        self.calls.get_mut(at?)
    }

    /// Returns the next fragment. A block ends, and the next one starts, once its arguments are complete JSON. If `all` is
    /// set, no more fragments will arrive, and every block ends. `response` is the response's id, from which calls without
    /// an id get theirs.
    pub(super) fn next(&mut self, all: bool, response: &str) -> Option<Piece> {
        loop {
            let is_last = self.finished + 1 >= self.calls.len();
            let position = self.finished;
            let call = self.calls.get_mut(position)?;
            // A block starts with its name, which may arrive after the id.
            if call.name.is_empty() && !all && is_last {
                return None;
            }
            let out = call.out.replace(call.arguments.len());
            let arguments = call.arguments.get(out.unwrap_or(0)..).unwrap_or_default();
            if out.is_none() || !arguments.is_empty() {
                let begin = || Begin { id: call.id(response, position), name: call.name.clone() };
                return Some(Piece { begin: out.is_none().then(begin), arguments: arguments.to_owned() });
            }
            if !all && (is_last || !is_whole(&call.arguments)) {
                return None;
            }
            self.finished += 1;
        }
    }
}

impl Call {
    fn id(&self, response: &str, position: usize) -> String {
        if self.id.is_empty() || self.is_repeated_id {
            tool_id::invented(response, position)
        } else {
            tool_id::to_anthropic(&self.id).into_owned()
        }
    }
}

/// Returns the arguments of `function` as JSON text; some upstreams send them as an object.
pub(super) fn arguments_of(function: &Value) -> String {
    match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => String::new(),
    }
}

/// Returns the block of a tool call without its input.
pub(super) fn block(id: &str, name: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": {}})
}

fn is_whole(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

#[cfg(test)]
mod tests;
