//! Message content: a string, or a list of typed parts.

use serde_json::value::RawValue;

use super::Fields;
use crate::decide::{Capability, RequiredCapabilities};

/// Bytes of text to one token: the rule of thumb of English prose for BPE vocabularies. Estimates made with it only
/// hold prompts against context windows and budgets before the upstream has counted.
pub(super) const BYTES_PER_TOKEN: usize = 4;

/// How deep parts are looked into: a document in a tool's result is two deep. What lies deeper counts as it is written.
const DEPTH: u8 = 4;

/// What one message's content holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its text parts, joined by line breaks.
    pub text: String,
    /// Whether it has any text part.
    pub has_text: bool,
    /// Whether it has a tool's result.
    pub has_tool_result: bool,
    /// Bytes of what an LLM reads besides: calls of tools, their results, documents.
    others: usize,
}

/// Returns the elements of the array `value`; none when it is something else.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Reads `value` and adds what its parts need to `needs`. A form nobody knows is left to the upstream to judge.
pub fn read(value: &RawValue, needs: &mut RequiredCapabilities) -> Content {
    let mut content = Content::default();
    if let Ok(text) = serde_json::from_str::<String>(value.get()) {
        return Content { text, has_text: true, ..Content::default() };
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
                    content.push(&text);
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
        // What cannot be decoded, such as half a surrogate pair, may still be read by others.
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

/// Pictures and files in base64 are no text: what an LLM makes of them is not in their bytes.
fn weigh_part(part: &Fields<'_>, depth: u8) -> usize {
    let text = ["text", "refusal", "content"].into_iter().filter_map(|name| part.find(name));
    let input = part.find("input").map_or(0, |input| input.get().len());
    let source = part.find("source").and_then(|source| Fields::parse(source.get()).ok());
    let source = source.filter(|source| matches!(source.string("type").as_deref(), Some("text" | "content")));
    let document = source.iter().flat_map(|source| [source.find("data"), source.find("content")]).flatten();
    input + text.chain(document).map(|value| weigh_to(value, depth)).sum::<usize>()
}

impl Content {
    /// Returns the bytes of text in it, those of tools' calls and results included.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.others
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
    fn what_an_llm_reads_besides_text_counts_and_is_no_query() {
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
    fn text_that_cannot_be_decoded_or_lies_deep_still_counts() {
        assert!(bytes(r#""half a pair \ud800""#).0 >= "half a pair ".len());
        assert!(bytes(r#"[{"type":"text","text":"half a pair \ud800"}]"#).0 >= "half a pair ".len());
        let deep = r#"[{"type":"tool_result","content":"#.repeat(1_000) + "\"four\"" + &"}]".repeat(1_000);
        assert!(bytes(&deep).0 > 4);
    }
}
