//! OpenAI chat completions: reads the facts from `messages`.

use super::{Facts, Fields, Invalid, LastMessage, content};
use crate::decide::{Capability, RequiredCapabilities};

/// Reads the facts.
pub fn facts(fields: &Fields<'_>) -> Result<Facts, Invalid> {
    let mut facts = Facts { needs: needs(fields), ..Facts::default() };
    let mut last_role = String::new();
    each_message(fields, |message| {
        last_role = message.string("role").unwrap_or_default();
        facts.continues |= last_role == "assistant";
        if let Some(value) = message.find("content") {
            let content = content::read(value, &mut facts.needs);
            facts.prompt_bytes += content.bytes();
            facts.push_opening(&last_role, &content.text);
            if last_role == "user" && content.has_text {
                facts.text = content.text;
            }
        }
        let calls = ["tool_calls", "function_call"].into_iter().filter_map(|name| message.find(name));
        facts.prompt_bytes += calls.map(|calls| calls.get().len()).sum::<usize>();
    })?;
    facts.last_message =
        if matches!(last_role.as_str(), "tool" | "function") { LastMessage::Tool } else { LastMessage::User };
    Ok(facts)
}

/// Calls `each` with every element of `messages`; there must be at least one.
pub(super) fn each_message<'a>(fields: &Fields<'a>, each: impl FnMut(&Fields<'a>)) -> Result<(), Invalid> {
    let Some(messages) = fields.find("messages") else {
        return Err(Invalid::new("messages", "`messages` is required: a list with at least one message"));
    };
    match Fields::each(messages, each) {
        Ok(1..) => Ok(()),
        Ok(0) => Err(Invalid::new("messages", "`messages` is empty: at least one message is needed")),
        Err(_) if content::elements(messages).is_some() => {
            Err(Invalid::new("messages", "every message must be an object"))
        }
        Err(_) => Err(Invalid::new("messages", "`messages` must be a list of messages")),
    }
}

fn needs(fields: &Fields<'_>) -> RequiredCapabilities {
    let mut needs = RequiredCapabilities::default();
    if fields.is_filled("tools") || fields.is_filled("functions") {
        needs.add(Capability::Tools);
    }
    let format = fields.find("response_format").and_then(|format| Fields::parse(format.get()).ok());
    let kind = format.and_then(|format| format.string("type"));
    if matches!(kind.as_deref(), Some("json_object" | "json_schema")) {
        needs.add(Capability::Json);
    }
    let modalities = fields.find("modalities").map_or("", |modalities| modalities.get());
    if modalities.contains("\"audio\"") {
        needs.add(Capability::Audio);
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Wire;

    fn facts(body: &str) -> Result<Facts, Invalid> {
        Facts::read(Wire::Chat, &Fields::parse(body).unwrap())
    }

    #[test]
    fn the_query_is_the_last_user_message_with_its_text_parts_joined() {
        let facts = facts(
            r#"{"messages":[{"role":"user","content":"old"},{"role":"assistant","content":"hm"},
                {"role":"user","content":[{"type":"text","text":"new"},{"type":"image_url","image_url":{}},{"type":"text","text":"er"}]}],
                "user":"ada","stream":true,"max_tokens":7}"#,
        )
        .unwrap();
        assert_eq!(facts.text, "new\ner");
        assert_eq!(facts.needs.first_missing(&[Capability::Tools]), Some(Capability::Vision));
        assert_eq!((facts.user.as_deref(), facts.stream, facts.max_tokens), (Some("ada"), true, Some(7)));
        assert_eq!(facts.prompt_bytes, "oldhmnew\ner".len());
    }

    #[test]
    fn a_turn_after_a_tool_keeps_the_earlier_query() {
        let facts = facts(
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[]},
                {"role":"tool","content":"42"}]}"#,
        )
        .unwrap();
        assert_eq!((facts.text.as_str(), facts.last_message), ("q", LastMessage::Tool));
    }

    #[test]
    fn tools_and_json_mode_are_required_capabilities() {
        let facts = facts(
            r#"{"messages":[{"role":"user","content":"q"}],"tools":[{"type":"function"}],"response_format":{"type":"json_object"}}"#,
        )
        .unwrap();
        assert_eq!(facts.needs.first_missing(&[Capability::Json]), Some(Capability::Tools));
        assert_eq!(facts.needs.first_missing(&[Capability::Tools]), Some(Capability::Json));
    }

    #[test]
    fn a_chat_without_messages_is_refused_naming_the_field() {
        for body in [r#"{}"#, r#"{"messages":[]}"#, r#"{"messages":"hi"}"#, r#"{"messages":[1]}"#] {
            assert_eq!(facts(body).unwrap_err().param, "messages", "{body}");
        }
    }
}
