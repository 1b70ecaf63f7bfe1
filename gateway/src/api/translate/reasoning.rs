//! Carries what an OpenAI-style upstream wants back in the next turn through a client that speaks Anthropic's format.
//!
//! Some upstreams require their `reasoning_content` (or `reasoning`), or the `extra_content` of a tool call (Gemini's
//! `thought_signature`), in the next request of a tool loop. Anthropic's clients return thinking blocks unchanged, so these
//! values travel in such blocks. A marker tells them from Anthropic's own, which only Anthropic can read.

use serde_json::{Map, Value, json};

use super::json::text;

/// Starts the signature or the data of every block that this module writes.
pub const MARKER: &str = "personaroute:";

/// Names of the fields in which upstreams send reasoning, the more common one first.
pub(super) const FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

/// The field of a tool call that must come back with it.
pub(super) const EXTRA: &str = "extra_content";

/// What an assistant turn of the client brings back.
#[derive(Debug, Default)]
pub(super) struct Returned {
    /// The reasoning field and its text.
    pub(super) reasoning: Option<(&'static str, String)>,
    /// Extra content by the id of its tool call.
    extra: Map<String, Value>,
}

impl Returned {
    /// Takes a thinking block; blocks of Anthropic's own are dropped, as no other vendor reads them.
    pub(super) fn read(&mut self, block: &Value) {
        if let Some(name) = text(block, "signature").strip_prefix(MARKER) {
            self.reason(name, text(block, "thinking"));
        }
        let Some((name, data)) = text(block, "data").strip_prefix(MARKER).and_then(|data| data.split_once(':')) else {
            return;
        };
        match serde_json::from_str(data) {
            Ok(Value::Object(extra)) if name == EXTRA => self.extra.extend(extra),
            _ => self.reason(name, data),
        }
    }

    fn reason(&mut self, name: &str, written: &str) {
        let Some(name) = FIELDS.into_iter().find(|field| *field == name) else {
            return;
        };
        self.reasoning.get_or_insert((name, String::new())).1.push_str(written);
    }

    /// Returns whether `block` is one that this module wrote.
    pub(super) fn is_marked(block: &Value) -> bool {
        ["signature", "data"].iter().any(|name| text(block, name).starts_with(MARKER))
    }

    /// Returns the extra content of the call that the client calls `id`.
    pub(super) fn extra(&self, id: &str) -> Option<&Value> {
        self.extra.get(id)
    }
}

/// Returns the reasoning in a message or delta, with the name of its field.
pub(super) fn of(message: &Value) -> Option<(&'static str, &str)> {
    FIELDS.into_iter().map(|name| (name, text(message, name))).find(|(_, written)| !written.is_empty())
}

/// Returns the signature of a visible thinking block that holds the field `name`.
pub(super) fn signature(name: &str) -> String {
    format!("{MARKER}{name}")
}

/// Returns a thinking block that holds `written` of the field `name`, visible if the client asked for thinking.
pub(super) fn block(name: &str, written: &str, is_visible: bool) -> Value {
    if is_visible {
        json!({"type": "thinking", "thinking": written, "signature": signature(name)})
    } else {
        redacted(name, written)
    }
}

/// Returns a block that holds the extra content of the call that the client calls `id`.
pub(super) fn extra_block(id: &str, extra: &Value) -> Value {
    redacted(EXTRA, &json!({ id: extra }).to_string())
}

fn redacted(name: &str, data: &str) -> Value {
    json!({"type": "redacted_thinking", "data": format!("{MARKER}{name}:{data}")})
}

/// Returns whether the messages request `written` asks for thinking.
pub(super) fn is_requested(written: &Value) -> bool {
    matches!(written.pointer("/thinking/type").and_then(Value::as_str), Some("enabled" | "adaptive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_into_blocks_is_read_back() {
        for is_visible in [true, false] {
            let mut returned = Returned::default();
            returned.read(&block("reasoning", "first: {\"a\":1}", is_visible));
            returned.read(&extra_block("call_1", &json!({"google": {"thought_signature": "s"}})));
            assert_eq!(returned.reasoning, Some(("reasoning", "first: {\"a\":1}".to_owned())));
            assert_eq!(returned.extra("call_1"), Some(&json!({"google": {"thought_signature": "s"}})));
        }
    }

    #[test]
    fn anthropics_own_thinking_is_not_taken_for_reasoning() {
        let mut returned = Returned::default();
        returned.read(&json!({"type": "thinking", "thinking": "x", "signature": "EqQB"}));
        returned.read(&json!({"type": "redacted_thinking", "data": "EmwK"}));
        assert_eq!(returned.reasoning, None);
    }
}
