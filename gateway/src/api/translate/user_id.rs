//! Makes user ids opaque where the other vendor asks for that, or limits their length.
//!
//! Anthropic wants no name, e-mail address or phone number in `metadata.user_id` and takes at most 256 characters; OpenAI
//! takes at most 64 in `user`.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The longest `user` towards OpenAI.
const OPENAI_LENGTH: usize = 64;

/// The longest `metadata.user_id` towards Anthropic.
const ANTHROPIC_LENGTH: usize = 256;

/// Returns the part of `id` that stays the same over sessions: coding agents append the session, or send a JSON object
/// that contains it.
pub fn stable_part(id: &str) -> Cow<'_, str> {
    if let Some((user, _)) = id.split_once("_session_").filter(|(user, _)| !user.is_empty()) {
        return Cow::Borrowed(user);
    }
    match serde_json::from_str::<Value>(id) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|name, _| !name.to_ascii_lowercase().contains("session"));
            Cow::Owned(Value::Object(fields).to_string())
        }
        _ => Cow::Borrowed(id),
    }
}

/// Returns `id` as OpenAI's `user`.
pub(super) fn to_openai(id: &str) -> Cow<'_, str> {
    opaque(id, OPENAI_LENGTH)
}

/// Returns `id` as Anthropic's `metadata.user_id`.
pub(super) fn to_anthropic(id: &str) -> Cow<'_, str> {
    opaque(id, ANTHROPIC_LENGTH)
}

/// Returns `id`, or its hash if it is long, bears a session, or looks personal.
fn opaque(id: &str, longest: usize) -> Cow<'_, str> {
    let stable = stable_part(id);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    let is_phone_number = stable.len() >= 7 && stable.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if stable == id && id.len() <= longest && id.bytes().all(is_plain) && !is_phone_number {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(stable.as_bytes());
    Cow::Owned(format!("user_{}", const_hex::encode(digest.get(..16).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_do_not_change_the_stable_part() {
        let id = |session: &str| format!("user_{}_account_1_session_{session}", "a".repeat(64));
        assert_eq!(stable_part(&id("2")), stable_part(&id("3")));
        let json = |session: &str| format!(r#"{{"device_id":"d","session_id":"{session}"}}"#);
        assert_eq!(stable_part(&json("2")), stable_part(&json("3")));
        assert_eq!(stable_part("ada"), "ada");
    }

    #[test]
    fn long_personal_and_session_bearing_ids_become_short_hashes() {
        for id in ["ada@example.com", "Ada Lovelace", "+44 20 7946 0000", "02079460000", &"u".repeat(65)] {
            let mapped = to_openai(id);
            assert!(mapped.len() <= OPENAI_LENGTH && mapped.starts_with("user_") && mapped != id, "{id}: {mapped}");
        }
        assert_eq!((to_openai("ada"), to_anthropic("tenant-7:ada")), ("ada".into(), "tenant-7:ada".into()));
    }
}
