//! OpenAI responses: reads the facts from `input`.

use serde_json::value::RawValue;

use super::{Facts, Fields, Invalid, LastMessage, Reference, content, translate::reasoning::MARKER};
use crate::decide::{Capability, RequiredCapabilities};

/// Reads the facts.
pub fn facts(fields: &Fields<'_>) -> Result<Facts, Invalid> {
    let mut facts = Facts { needs: needs(fields), references: references(fields), ..Facts::default() };
    facts.continues = !facts.references.is_empty();
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
    for (idx, item) in items.iter().enumerate() {
        item_facts(idx, item.get(), &mut facts);
    }
    Ok(facts)
}

fn item_facts(idx: usize, item: &str, facts: &mut Facts) {
    let Ok(item) = Fields::parse(item) else {
        return;
    };
    let kind = item.string("type").unwrap_or_default();
    facts.references.extend(item_reference(idx, &kind, &item));
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

/// Returns what the request refers to beside its input: a stored response, a stored conversation.
fn references(fields: &Fields<'_>) -> Vec<Reference> {
    let conversation = fields.find("conversation").and_then(|value| Fields::parse(value.get()).ok());
    let ids = [
        ("previous_response_id", fields.string("previous_response_id")),
        ("conversation", fields.string("conversation").or_else(|| conversation?.string("id"))),
    ];
    let reference =
        |(param, id): (&str, Option<String>)| Some(Reference { param: param.to_owned(), id: id?, is_required: true });
    ids.into_iter().filter_map(reference).collect()
}

/// Returns what the item `idx` refers to. Reasoning belongs to the service that encrypted it, and so do stored items; the output
/// of a call goes to the LLM that called if it can.
fn item_reference(idx: usize, kind: &str, item: &Fields<'_>) -> Option<Reference> {
    let (name, is_required) = match kind {
        "item_reference" => ("id", true),
        "reasoning" => match item.string("encrypted_content") {
            Some(content) => ("encrypted_content", !content.starts_with(MARKER)),
            None => ("id", false),
        },
        kind if kind.ends_with("_call_output") => ("call_id", false),
        _ => return None,
    };
    Some(Reference { param: format!("input[{idx}].{name}"), id: item.string(name)?, is_required })
}

/// Returns the items of `input` as they are written; a text is a message of the user.
pub fn input_items(fields: &Fields<'_>) -> Vec<String> {
    let Some(input) = fields.find("input") else {
        return Vec::new();
    };
    if input.get().starts_with('"') {
        return vec![format!("{{\"role\":\"user\",\"content\":{}}}", input.get())];
    }
    let items = content::elements(input).unwrap_or_default();
    items.into_iter().map(RawValue::get).map(str::to_owned).collect()
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
    fn references_are_found_with_their_place() {
        let facts = facts(
            r#"{"previous_response_id":"resp_1","conversation":{"id":"conv_1"},"input":[
                {"type":"item_reference","id":"msg_1"},{"type":"reasoning","id":"rs_1","encrypted_content":"gA"},
                {"type":"reasoning","id":"rs_2"},{"type":"function_call_output","call_id":"c","output":"1"}]}"#,
        )
        .unwrap();
        let found: Vec<_> =
            facts.references.iter().map(|found| (found.param.as_str(), found.id.as_str(), found.is_required)).collect();
        let expected = [
            ("previous_response_id", "resp_1", true),
            ("conversation", "conv_1", true),
            ("input[0].id", "msg_1", true),
            ("input[1].encrypted_content", "gA", true),
            ("input[2].id", "rs_2", false),
            ("input[3].call_id", "c", false),
        ];
        assert_eq!(found, expected);
        assert!(facts.continues);
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
