//! Anthropic messages: reads the facts from `messages` and `system`.

use super::{Facts, Fields, Invalid, LastMessage, chat::each_message, content, translate::user_id};
use crate::decide::Capability;

/// Reads the facts.
pub fn facts(fields: &Fields<'_>) -> Result<Facts, Invalid> {
    let mut facts = Facts::default();
    if fields.is_filled("tools") {
        facts.needs.add(Capability::Tools);
    }
    let output = fields.find("output_config").and_then(|output| Fields::parse(output.get()).ok());
    if output.is_some_and(|output| output.is_filled("format")) {
        facts.needs.add(Capability::Json);
    }
    if let Some(system) = fields.find("system") {
        facts.prompt_bytes += content::weigh(system);
    }
    each_message(fields, |message| {
        let Some(value) = message.find("content") else {
            return;
        };
        let content = content::read(value, &mut facts.needs);
        let role = message.string("role").unwrap_or_default();
        facts.prompt_bytes += content.bytes();
        facts.continues |= role == "assistant";
        facts.push_opening(&role, &content.text);
        if role == "user" {
            facts.last_message =
                if content.has_tool_result && !content.has_text { LastMessage::Tool } else { LastMessage::User };
            if content.has_text {
                facts.text = content.text;
            }
        }
    })?;
    let metadata = fields.find("metadata").and_then(|metadata| Fields::parse(metadata.get()).ok());
    let user = metadata.and_then(|metadata| metadata.string("user_id"));
    facts.user = user.map(|id| user_id::stable_part(&id).into_owned());
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::Wire, decide::RequiredCapabilities};

    #[test]
    fn a_tool_result_is_not_a_query() {
        let body = r#"{"system":"be brief","messages":[{"role":"user","content":"q"},
            {"role":"assistant","content":[{"type":"tool_use","id":"1","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"42"}]}],
            "metadata":{"user_id":"ada"}}"#;
        let facts = Facts::read(Wire::Messages, &Fields::parse(body).unwrap()).unwrap();
        assert_eq!((facts.text.as_str(), facts.last_message), ("q", LastMessage::Tool));
        assert_eq!(facts.user.as_deref(), Some("ada"));
        assert_eq!(facts.prompt_bytes, "be briefq{}42".len());
    }

    #[test]
    fn an_output_format_requires_a_capability() {
        let needs = |config: &str| {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],"output_config":{config}}}"#);
            Facts::read(Wire::Messages, &Fields::parse(&body).unwrap()).unwrap().needs
        };
        let mut expected = RequiredCapabilities::default();
        assert_eq!(needs(r#"{"effort":"low"}"#), expected);
        expected.add(Capability::Json);
        assert_eq!(needs(r#"{"format":{"type":"json_schema","schema":{}}}"#), expected);
    }
}
