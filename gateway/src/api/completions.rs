//! OpenAI completions and embeddings: the facts of a bare text.

use super::{Facts, Fields, Invalid, content};
use crate::decide::Needs;

/// Reads the facts; `name` is the field with the text: a string, or a list of strings or tokens.
pub fn facts(fields: &Fields<'_>, name: &'static str) -> Result<Facts, Invalid> {
    let Some(value) = fields.find(name) else {
        return Err(Invalid::new(name, format!("`{name}` is required")));
    };
    let text = match serde_json::from_str::<String>(value.get()) {
        Ok(text) => text,
        Err(_) => strings(value).join("\n"),
    };
    Ok(Facts {
        prompt_bytes: text.len(),
        text,
        needs: Needs::default(),
        max_tokens: fields.number("max_tokens"),
        ..Facts::default()
    })
}

/// Lists of tokens have no text here; the upstream reads them.
fn strings(value: &serde_json::value::RawValue) -> Vec<String> {
    let elements = content::elements(value).unwrap_or_default();
    elements.into_iter().filter_map(|element| serde_json::from_str(element.get()).ok()).collect()
}
