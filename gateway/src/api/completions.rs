//! OpenAI completions and embeddings: reads the facts from a plain text.

use serde_json::value::RawValue;

use super::{
    Facts, Fields, Invalid,
    content::{self, BYTES_PER_TOKEN},
};

/// Reads the facts; `name` is the field with the text: a string, or a list of strings or tokens.
pub fn facts(fields: &Fields<'_>, name: &'static str) -> Result<Facts, Invalid> {
    let Some(value) = fields.find(name) else {
        return Err(Invalid::new(name, format!("`{name}` is required")));
    };
    let text = match serde_json::from_str::<String>(value.get()) {
        Ok(text) => text,
        Err(_) => strings(value).join("\n"),
    };
    let prompt_bytes = text.len().max(weigh(value));
    Ok(Facts { prompt_bytes, text, choices: Some(prompts(value)), ..Facts::default() })
}

/// Returns the number of texts; a list of numbers is one text given as tokens.
fn prompts(value: &RawValue) -> u32 {
    let elements = content::elements(value).unwrap_or_default();
    let texts = elements.iter().filter(|element| element.get().starts_with(['"', '['])).count();
    u32::try_from(texts).unwrap_or(u32::MAX).max(1)
}

/// Returns the bytes of text in `value`; a token counts as [`BYTES_PER_TOKEN`].
fn weigh(value: &RawValue) -> usize {
    let Some(elements) = content::elements(value) else {
        return content::weigh(value);
    };
    let bytes = |element: &RawValue| match element.get().as_bytes().first() {
        Some(b'[') => BYTES_PER_TOKEN.saturating_mul(content::elements(element).map_or(0, |tokens| tokens.len())),
        Some(b'0'..=b'9') => BYTES_PER_TOKEN,
        _ => content::weigh(element),
    };
    elements.into_iter().map(bytes).sum()
}

/// A list of tokens has no text here; only the upstream can decode it.
fn strings(value: &RawValue) -> Vec<String> {
    let elements = content::elements(value).unwrap_or_default();
    elements.into_iter().filter_map(|element| serde_json::from_str(element.get()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Wire;

    #[test]
    fn every_prompt_of_a_list_counts_and_tokens_count_as_text() {
        for (prompt, answers, tokens) in [
            (r#""twelve bytes""#, 1, 3),
            (r#"["twelve bytes"]"#, 1, 3),
            (r#"["twelve bytes","twelve bytes"]"#, 2, 7),
            ("[1, 2, 3]", 1, 3),
            ("[[1, 2, 3], [4]]", 2, 4),
            ("[]", 1, 0),
        ] {
            let body = format!(r#"{{"prompt":{prompt},"n":2,"max_tokens":5}}"#);
            let facts = Facts::read(Wire::Completions, &Fields::parse(&body).unwrap()).unwrap();
            assert_eq!((facts.output_tokens(9), facts.prompt_tokens()), (answers * 2 * 5, tokens), "{prompt}");
        }
    }
}
