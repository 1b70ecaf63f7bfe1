//! OpenAI responses: reads the facts from `input`.

use super::{Facts, Fields, Invalid, LastMessage, content};
use crate::decide::{Capability, RequiredCapabilities};

/// Reads the facts.
pub fn facts(fields: &Fields<'_>) -> Result<Facts, Invalid> {
    let mut facts = Facts { needs: needs(fields), ..Facts::default() };
    facts.prompt_bytes += fields.find("instructions").map_or(0, content::weigh);
    let Some(input) = fields.find("input") else {
        // A stored prompt or a previous response may replace the input.
        let has_other = fields.find("prompt").is_some() || fields.find("previous_response_id").is_some();
        return if has_other { Ok(facts) } else { Err(Invalid::new("input", "`input` is required")) };
    };
    if let Ok(text) = serde_json::from_str::<String>(input.get()) {
        facts.prompt_bytes += text.len();
        facts.push_opening("user", &text);
        facts.text = text;
        return Ok(facts);
    }
    if input.get().starts_with('"') {
        facts.prompt_bytes += content::weigh(input);
        return Ok(facts);
    }
    let Some(items) = content::elements(input) else {
        return Err(Invalid::new("input", "`input` must be a string or a list of items"));
    };
    for item in items {
        item_facts(item.get(), &mut facts);
    }
    Ok(facts)
}

fn item_facts(item: &str, facts: &mut Facts) {
    let Ok(item) = Fields::parse(item) else {
        return;
    };
    let kind = item.string("type").unwrap_or_default();
    let is_output = kind.ends_with("_call_output");
    facts.last_message = if is_output { LastMessage::Tool } else { LastMessage::User };
    // Calls, their outputs and reasoning follow an answer, though they have no role.
    facts.continues |= is_output || kind.ends_with("_call") || kind == "reasoning";
    let said = ["arguments", "input", "output"].into_iter().filter_map(|name| item.find(name));
    let done = ["action", "tools"].into_iter().filter_map(|name| item.find(name));
    facts.prompt_bytes += said.map(content::weigh).sum::<usize>() + done.map(|value| value.get().len()).sum::<usize>();
    let Some(value) = item.find("content") else {
        return;
    };
    let content = content::read(value, &mut facts.needs);
    let role = item.string("role").unwrap_or_default();
    facts.prompt_bytes += content.bytes();
    facts.continues |= role == "assistant";
    facts.push_opening(&role, &content.text);
    if role == "user" && content.has_text {
        facts.text = content.text;
    }
}

fn needs(fields: &Fields<'_>) -> RequiredCapabilities {
    let mut needs = RequiredCapabilities::default();
    if fields.is_filled("tools") {
        needs.add(Capability::Tools);
    }
    let text = fields.find("text").map_or("", |text| text.get());
    if text.contains("\"json_schema\"") || text.contains("\"json_object\"") {
        needs.add(Capability::Json);
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Wire;

    fn facts(body: &str) -> Result<Facts, Invalid> {
        Facts::read(Wire::Responses, &Fields::parse(body).unwrap())
    }

    #[test]
    fn the_query_is_the_input_or_its_last_user_item() {
        assert_eq!(facts(r#"{"input":"q"}"#).unwrap().text, "q");
        let body = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"q"}]},
            {"type":"function_call","name":"f"},{"type":"function_call_output","output":"42"}]}"#;
        let facts = facts(body).unwrap();
        assert_eq!((facts.text.as_str(), facts.last_message), ("q", LastMessage::Tool));
    }

    #[test]
    fn tool_calls_and_their_outputs_count_as_prompt() {
        let base = facts(r#"{"input":[{"role":"user","content":"q"}]}"#).unwrap().prompt_bytes;
        for (item, bytes) in [
            (r#"{"type":"function_call","name":"f","arguments":"{\"a\":1}"}"#, r#"{"a":1}"#.len()),
            (r#"{"type":"custom_tool_call","name":"f","input":"four"}"#, 4),
            (r#"{"type":"function_call_output","output":"four"}"#, 4),
            (r#"{"type":"function_call_output","output":[{"type":"input_text","text":"four"}]}"#, 4),
            (r#"{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"data:four"}}"#, 0),
            (r#"{"type":"local_shell_call","action":{"command":["ls"]}}"#, r#"{"command":["ls"]}"#.len()),
        ] {
            let facts = facts(&format!(r#"{{"input":[{{"role":"user","content":"q"}},{item}]}}"#)).unwrap();
            assert_eq!((facts.prompt_bytes - base, facts.text.as_str()), (bytes, "q"), "{item}");
        }
    }

    #[test]
    fn a_missing_input_is_refused_unless_a_prompt_or_response_replaces_it() {
        assert_eq!(facts("{}").unwrap_err().param, "input");
        assert!(facts(r#"{"previous_response_id":"r"}"#).is_ok());
    }

    #[test]
    fn calls_outputs_and_reasoning_continue_a_conversation() {
        let said = r#"{"role":"user","content":"q"}"#;
        let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
        let output = r#"{"type":"function_call_output","call_id":"c","output":"1"}"#;
        let thought = r#"{"type":"reasoning","id":"r","summary":[]}"#;
        let read = |items: &[&str]| facts(&format!(r#"{{"input":[{}]}}"#, items.join(","))).unwrap();
        assert!(!read(&[said]).continues);
        let turn = read(&[said, thought, call, output]);
        assert_eq!((turn.continues, turn.last_message), (true, LastMessage::Tool));
        let text = facts(r#"{"input":"q"}"#).unwrap();
        assert_eq!(text.opening, turn.opening, "a text alone opens the same conversation");
    }
}
