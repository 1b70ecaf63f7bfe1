//! Maps ids of tool calls into the alphabet and length that the other format's validator takes, and back.
//!
//! Anthropic takes `^[a-zA-Z0-9_-]+$` (Messages API, `tool_use.id`), OpenAI at most 40 characters (Chat API,
//! `tool_call_id`). An id that fits is kept. Another one is encoded, so that it can be decoded when the client returns it;
//! one that is too long to be encoded becomes a hash, the same one in the call and in its result.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Marks ids that hold the original in hexadecimal digits.
const ENCODED: &str = "prx_";

/// Marks ids that are a hash of the original.
const HASHED: &str = "prh_";

/// The longest id towards Anthropic.
const ANTHROPIC_LENGTH: usize = 64;

/// The longest id towards OpenAI.
const OPENAI_LENGTH: usize = 40;

/// Returns `id` as Anthropic's validator takes it.
pub(super) fn to_anthropic(id: &str) -> Cow<'_, str> {
    if is_plain(id) && id.len() <= ANTHROPIC_LENGTH {
        return Cow::Borrowed(id);
    }
    let encoded = format!("{ENCODED}{}", const_hex::encode(id));
    if encoded.len() <= ANTHROPIC_LENGTH { Cow::Owned(encoded) } else { Cow::Owned(hashed(id)) }
}

/// Returns `id` as OpenAI's validator takes it: decoded if [`to_anthropic`] encoded it.
pub(super) fn to_openai(id: &str) -> Cow<'_, str> {
    let original = decoded(id);
    let id = original.map_or(Cow::Borrowed(id), Cow::Owned);
    if id.len() <= OPENAI_LENGTH { id } else { Cow::Owned(hashed(&id)) }
}

/// Returns the id of the call `position` of the response `response` as OpenAI's clients take it; a new one if `id` is empty.
pub(super) fn openai_or_invented(id: &str, response: &str, position: usize) -> String {
    if id.is_empty() { invented(response, position) } else { to_openai(id).into_owned() }
}

/// Returns a new id for the call `position` of the response `response`, whose upstream sent none.
pub(super) fn invented(response: &str, position: usize) -> String {
    let digest = Sha256::digest(format!("{response}\0{position}"));
    format!("call_{}", const_hex::encode(digest.get(..12).unwrap_or_default()))
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn decoded(id: &str) -> Option<String> {
    let bytes = const_hex::decode(id.strip_prefix(ENCODED)?).ok()?;
    String::from_utf8(bytes).ok()
}

fn hashed(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    format!("{HASHED}{}", const_hex::encode(digest.get(..16).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_fit_anthropics_validator_stay_distinct_and_come_back(id in ".{1,60}", other in ".{1,60}") {
            let mapped = to_anthropic(&id);
            prop_assert!(is_plain(&mapped) && mapped.len() <= ANTHROPIC_LENGTH);
            prop_assert!(id == other || mapped != to_anthropic(&other));
            if id.len() <= 30 && !id.starts_with(ENCODED) {
                prop_assert_eq!(to_openai(&mapped), &*id);
            }
        }

        #[test]
        fn ids_fit_openais_validator(id in "[a-zA-Z0-9_:.|-]{1,200}") {
            prop_assert!(to_openai(&id).len() <= OPENAI_LENGTH);
        }
    }

    #[test]
    fn plain_ids_are_kept() {
        assert_eq!(to_anthropic("toolu_01A09q90qw90lq917835lq9"), "toolu_01A09q90qw90lq917835lq9");
        assert_eq!(to_openai("call_abc"), "call_abc");
        assert_ne!(invented("r", 0), invented("r", 1));
    }
}
