//! Message content: a string, or a list of typed parts.

use serde_json::value::RawValue;

use super::{Fields, harness};
use crate::decide::{Capability, RequiredCapabilities};

/// Bytes per token: the rule of thumb for English text and BPE vocabularies. The estimates are used only for context
/// windows and budgets, until the upstream reports its count.
pub(super) const BYTES_PER_TOKEN: usize = 4;

/// Maximum depth to which nested parts are parsed; a document in a tool result is at depth two. Deeper JSON counts in full.
const DEPTH: u8 = 4;

/// The content of one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The text parts, joined with line breaks.
    pub text: String,
    /// Whether there is a text part.
    pub has_text: bool,
    /// Whether there is a tool result.
    pub has_tool_result: bool,
    /// Bytes of the other text that an LLM reads: tool calls, tool results, documents.
    others: usize,
}

/// Returns the elements of the array `value`; none if it is not an array.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Reads `value`, and adds the capabilities that its parts require to `needs`. Unknown types are left to the upstream.
pub fn read(value: &RawValue, needs: &mut RequiredCapabilities) -> Content {
    let mut content = Content::default();
    if let Ok(text) = serde_json::from_str::<String>(value.get()) {
        content.push_user_text(&text);
        return content;
    }
    let Some(parts) = elements(value) else {
        return Content { others: weigh(value), ..Content::default() };
    };
    for part in parts {
        let Ok(part) = Fields::parse(part.get()) else {
            continue;
        };
        match part.string("type").as_deref() {
            Some("text" | "input_text" | "output_text") => match part.string("text") {
                Some(text) => {
                    content.push_user_text(&text);
                    continue;
                }
                None => content.push(""),
            },
            Some("image_url" | "input_image" | "image") => needs.add(Capability::Vision),
            Some("input_audio" | "audio") => needs.add(Capability::Audio),
            Some("tool_result") => content.has_tool_result = true,
            _ => {}
        }
        content.others += weigh_part(&part, DEPTH);
    }
    content
}

/// Returns the bytes of text in `value`: a string, a list of parts, or one part.
pub fn weigh(value: &RawValue) -> usize {
    weigh_to(value, DEPTH)
}

fn weigh_to(value: &RawValue, depth: u8) -> usize {
    let written = value.get();
    if written.starts_with('"') {
        // Text that serde_json refuses, such as an unpaired surrogate, may be accepted by the upstream.
        return serde_json::from_str::<String>(written).map_or(written.len(), |text| text.len());
    }
    let Some(deeper) = depth.checked_sub(1) else {
        return written.len();
    };
    if let Ok(part) = Fields::parse(written) {
        return weigh_part(&part, deeper);
    }
    elements(value).unwrap_or_default().into_iter().map(|part| weigh_to(part, deeper)).sum()
}

/// Images and base64 files do not count: their size says nothing about their tokens.
fn weigh_part(part: &Fields<'_>, depth: u8) -> usize {
    let text = ["text", "refusal", "content"].into_iter().filter_map(|name| part.find(name));
    let input = part.find("input").map_or(0, |input| input.get().len());
    let source = part.find("source").and_then(|source| Fields::parse(source.get()).ok());
    let source = source.filter(|source| matches!(source.string("type").as_deref(), Some("text" | "content")));
    let document = source.iter().flat_map(|source| [source.find("data"), source.find("content")]).flatten();
    input + text.chain(document).map(|value| weigh_to(value, depth)).sum::<usize>()
}

impl Content {
    /// Returns the bytes of text, including tool calls and tool results.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.others
    }

    /// Adds text as far as a person wrote it; what a coding agent's harness added counts as other text.
    fn push_user_text(&mut self, text: &str) {
        let own = harness::without_additions(text);
        self.others += text.len() - own.len();
        if own.len() == text.len() || !own.trim().is_empty() {
            self.push(if own.len() == text.len() { text } else { own.trim() });
        }
    }

    fn push(&mut self, text: &str) {
        if self.has_text {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.has_text = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(content: &str) -> (usize, String) {
        let value: Box<RawValue> = serde_json::from_str(content).unwrap();
        let content = read(&value, &mut RequiredCapabilities::default());
        (content.bytes(), content.text)
    }

    #[test]
    fn tool_calls_results_and_documents_count_but_are_not_the_query() {
        for (content, expected) in [
            (r#"[{"type":"tool_result","content":"four"}]"#, 4),
            (r#"[{"type":"tool_result","content":[{"type":"text","text":"four"},{"type":"image","source":{}}]}]"#, 4),
            (r#"[{"type":"tool_use","id":"1","name":"f","input":{"a": 12}}]"#, r#"{"a": 12}"#.len()),
            (r#"[{"type":"mcp_tool_result","content":[{"type":"text","text":"four"}]}]"#, 4),
            (r#"[{"type":"document","source":{"type":"text","data":"four"}}]"#, 4),
            (r#"[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"four"}]}}]"#, 4),
            (r#"[{"type":"document","source":{"type":"base64","data":"four"}}]"#, 0),
            (r#"[{"type":"image","source":{"type":"base64","data":"four"}}]"#, 0),
            (r#"[{"type":"refusal","refusal":"four"}]"#, 4),
            (r#"[{"type":"image_url","image_url":{"url":"data:four"}}]"#, 0),
        ] {
            assert_eq!(bytes(content), (expected, String::new()), "{content}");
        }
        assert_eq!(
            bytes(r#"[{"type":"text","text":"one"},{"type":"tool_result","content":"four"}]"#),
            (7, "one".into())
        );
    }

    #[test]
    fn text_that_cannot_be_decoded_or_is_nested_deeply_still_counts() {
        assert!(bytes(r#""half a pair \ud800""#).0 >= "half a pair ".len());
        assert!(bytes(r#"[{"type":"text","text":"half a pair \ud800"}]"#).0 >= "half a pair ".len());
        let deep = r#"[{"type":"tool_result","content":"#.repeat(1_000) + "\"four\"" + &"}]".repeat(1_000);
        assert!(bytes(&deep).0 > 4);
    }
}
