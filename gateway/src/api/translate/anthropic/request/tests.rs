//! Chat completion requests and the messages requests that they become.

use super::*;

fn translated(chat: &Value) -> Result<Value, Invalid> {
    let tree = messages(chat, &ToolNames::of(std::iter::empty(), 128), &Thinking::default())?;
    Ok(serde_json::from_str(&tree.to_text()).unwrap())
}

fn asked(more: &Value) -> Value {
    let mut chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    chat.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    chat
}

#[test]
fn a_conversation_with_tools_and_images_is_translated() {
    let chat = json!({
        "model": "claude", "stream": true, "temperature": 1.5, "stop": "END", "user": "ada", "seed": 7,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "c2", "content": "a dog"},
            {"role": "user", "content": "sure?"}],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
        "tool_choice": "required", "parallel_tool_calls": false,
    });
    let text = |text: &str| json!({"type": "text", "text": text});
    let expected = json!({
        "model": "claude", "max_tokens": 4096, "system": [text("be brief")],
        "messages": [
            {"role": "user", "content": [
                text("what is this?"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "c2", "name": "look", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [text("a cat")]},
                {"type": "tool_result", "tool_use_id": "c2", "content": [text("a dog")]},
                text("sure?")]}],
        "stream": true, "temperature": 1.0, "stop_sequences": ["END"], "metadata": {"user_id": "ada"},
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}, "description": "Looks."}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
    });
    assert_eq!(translated(&chat).unwrap(), expected);
}

#[test]
fn arguments_keep_their_bytes() {
    let arguments = r#"{"id": 123456789012345678901234567890, "price": 0.10000000000000000001}"#;
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
    let chat = json!({"model": "m", "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"}]});
    let tree = messages(&chat, &ToolNames::of(std::iter::empty(), 128), &Thinking::default()).unwrap();
    assert!(tree.to_text().contains(&format!("\"input\":{arguments}")), "{}", tree.to_text());
}

#[test]
fn one_of_temperature_and_top_p_is_sent_and_a_default_is_not() {
    for (temperature, top_p, kept) in [
        (json!(0.7), json!(1), json!({"temperature": 0.7})),
        (json!(1), json!(0.5), json!({"top_p": 0.5})),
        (json!(0.7), json!(0.5), json!({"temperature": 0.7})),
        (json!("0.7"), Value::Null, json!({"temperature": 0.7})),
        (json!(1.0), json!(1.0), json!({})),
    ] {
        let written = translated(&asked(&json!({"temperature": temperature, "top_p": top_p}))).unwrap();
        let sent: serde_json::Map<String, Value> =
            written.as_object().unwrap().clone().into_iter().filter(|(name, _)| name.starts_with('t')).collect();
        assert_eq!(Value::Object(sent), kept, "{temperature}, {top_p}");
    }
}

#[test]
fn limits_are_read_in_every_spelling_and_blank_stop_sequences_are_dropped() {
    for most in [json!(100), json!(100.0), json!("100")] {
        assert_eq!(translated(&asked(&json!({"max_tokens": most}))).unwrap()["max_tokens"], 100);
    }
    let written = translated(&asked(&json!({"stop": [" ", "END", "\n"]}))).unwrap();
    assert_eq!(written["stop_sequences"], json!(["END"]));
    assert_eq!(translated(&asked(&json!({"stop": ""}))).unwrap().get("stop_sequences"), None);
}

#[test]
fn what_says_nothing_is_no_reason_for_a_refusal_and_a_search_is() {
    let nothing = json!({"logprobs": false, "top_logprobs": 0, "function_call": "none", "n": 1.0});
    assert!(translated(&asked(&nothing)).is_ok());
    for (name, value) in [("web_search_options", json!({})), ("top_logprobs", json!(2)), ("n", json!(2))] {
        assert_eq!(translated(&asked(&json!({ name: value }))).unwrap_err().param, name);
    }
}

#[test]
fn conversations_that_anthropic_would_continue_or_refuse_are_refused_with_their_place() {
    let user = json!({"role": "user", "content": "hi"});
    let assistant = json!({"role": "assistant", "content": "Sure"});
    let refused = |messages: Value| translated(&json!({"model": "m", "messages": messages})).unwrap_err().param;
    assert_eq!(refused(json!([user, assistant])), "messages[1]");
    assert_eq!(refused(json!([{"role": "system", "content": "s"}])), "messages");
    assert_eq!(refused(json!([assistant, user])), "messages");
}
