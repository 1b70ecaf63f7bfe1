//! Message content: a string, or a list of typed parts.

use serde_json::value::RawValue;

use super::Fields;
use crate::decide::{Capability, Needs};

/// What one message's content holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its text parts, joined by line breaks.
    pub text: String,
    /// Whether it has any text part.
    pub has_text: bool,
    /// Whether it has a tool's result.
    pub has_tool_result: bool,
}

/// Returns the elements of the array `value`; none when it is something else.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Reads `value` and adds what its parts need to `needs`. A form nobody knows is left to the upstream to judge.
pub fn read(value: &RawValue, needs: &mut Needs) -> Content {
    let mut content = Content::default();
    if let Ok(text) = serde_json::from_str::<String>(value.get()) {
        return Content { text, has_text: true, has_tool_result: false };
    }
    for part in elements(value).unwrap_or_default() {
        let Ok(part) = Fields::parse(part.get()) else {
            continue;
        };
        match part.string("type").as_deref() {
            Some("text" | "input_text" | "output_text") => content.push(&part.string("text").unwrap_or_default()),
            Some("image_url" | "input_image" | "image") => needs.add(Capability::Vision),
            Some("input_audio" | "audio") => needs.add(Capability::Audio),
            Some("tool_result") => content.has_tool_result = true,
            _ => {}
        }
    }
    content
}

impl Content {
    fn push(&mut self, text: &str) {
        if self.has_text {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.has_text = true;
    }
}
