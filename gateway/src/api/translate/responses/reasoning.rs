//! Carries thinking through clients of `/v1/responses`, which return the `encrypted_content` of reasoning items unchanged.

use serde_json::Value;

use super::super::reasoning::MARKER;

/// Follows [`MARKER`] in every `encrypted_content` that this module writes.
const BLOCK: &str = "block:";

/// Returns the `encrypted_content` that holds a thinking block.
pub(super) fn encrypted(block: &Value) -> String {
    format!("{MARKER}{BLOCK}{block}")
}

/// Returns the thinking block in `encrypted_content`; none if another service wrote it.
pub(super) fn block(encrypted_content: &str) -> Option<Value> {
    let written = encrypted_content.strip_prefix(MARKER)?.strip_prefix(BLOCK)?;
    let block: Value = serde_json::from_str(written).ok()?;
    let kind = block.get("type").and_then(Value::as_str);
    matches!(kind, Some("thinking" | "redacted_thinking")).then_some(block)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_block_comes_back_as_it_was_and_other_content_is_not_one() {
        let thinking = json!({"type": "thinking", "thinking": "hm \"x\"", "signature": "EqQB/+="});
        assert_eq!(block(&encrypted(&thinking)), Some(thinking));
        for other in ["gAAAAB", "", "personaroute:block:", "personaroute:block:{\"type\":\"text\"}"] {
            assert_eq!(block(other), None, "{other}");
        }
    }
}
