//! Responses requests and the requests that they become.

use super::*;
use crate::api::{
    Wire,
    translate::{Dialect, Translation},
};

fn asked(more: &Value) -> Value {
    let mut request = json!({"model": "auto", "input": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn sent(request: &Value, to: Format, reasons: bool) -> Value {
    let translation = Translation::of(Wire::Responses, to, request.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&translation.body("m", Dialect { reasons, ..Dialect::default() })).unwrap()
}

fn refused(more: &Value, to: Format) -> String {
    let request = asked(more).to_string();
    Translation::of(Wire::Responses, to, request.as_bytes()).unwrap_err().param.into_owned()
}

fn conversation(encrypted: &str) -> Value {
    json!({
        "model": "auto", "instructions": "Be brief.", "max_output_tokens": 50, "stream": true,
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "How is the weather?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{\"n\": 1.0}"},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": ""},
            {"type": "function_call_output", "call_id": "c1", "output": [
                {"type": "input_text", "text": "sunny"},
                {"type": "input_image", "image_url": "data:image/png;base64,BBBB"}]},
            {"type": "function_call_output", "call_id": "c2", "output": "rain"}],
        "tools": [{"type": "function", "name": "weather", "description": "Tells.", "strict": true,
                   "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "user": "ada",
    })
}

#[test]
fn a_tool_loop_becomes_messages_with_its_thinking() {
    let block = json!({"type": "thinking", "thinking": "hm", "signature": "Eq"});
    let request = conversation(&super::super::reasoning::encrypted(&block));
    let body = sent(&request, Format::Anthropic, false);
    assert_eq!(body["system"][0]["text"], "Be brief.");
    let turns = &body["messages"];
    assert_eq!(turns[0]["content"][1]["source"]["data"], "AAAA");
    assert_eq!(turns[1]["content"][0], block);
    assert_eq!(turns[1]["content"][1]["text"], "Let me see.");
    let names: Vec<&Value> = turns[1]["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(names, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(turns[2]["content"][0]["content"][1]["source"]["data"], "BBBB");
    assert_eq!(turns[2]["content"][1]["tool_use_id"], "c2");
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "weather", "disable_parallel_tool_use": true}));
    assert_eq!(body["output_config"]["format"]["schema"], json!({"type": "object"}));
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(50), &json!(true)));
    let translation = Translation::of(Wire::Responses, Format::Anthropic, request.to_string().as_bytes()).unwrap();
    let text = String::from_utf8(translation.body("m", Dialect::default()).to_vec()).unwrap();
    assert!(text.contains("\"input\":{\"n\": 1.0}"), "{text}");
}

#[test]
fn a_tool_loop_becomes_a_chat_with_its_reasoning() {
    let block = json!({"type": "thinking", "thinking": "hm", "signature": "personaroute:reasoning_content"});
    let body = sent(&conversation(&super::super::reasoning::encrypted(&block)), Format::Openai, false);
    let turns = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    assert_eq!(turns[1]["content"][1]["image_url"]["detail"], "low");
    assert_eq!(turns[2]["reasoning_content"], "hm");
    assert_eq!(turns[2]["tool_calls"][0]["function"]["arguments"], "{\"n\": 1.0}");
    assert_eq!((&turns[3]["content"], &turns[4]["content"]), (&json!("sunny"), &json!("rain")));
    assert_eq!(turns[5]["content"][0]["image_url"]["url"], "data:image/png;base64,BBBB");
    assert_eq!(body["max_completion_tokens"], 50);
    assert_eq!(body["tools"][0]["function"]["name"], "weather");
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "weather"}}));
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["response_format"]["json_schema"]["name"], "n");
}

#[test]
fn an_effort_becomes_thinking_only_for_llms_that_reason_and_only_where_it_is_taken() {
    let effort = |more: Value| {
        let mut request = asked(&json!({"reasoning": {"effort": "medium"}, "temperature": 0.5}));
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sent(&request, Format::Anthropic, true)
    };
    let plain = effort(json!({}));
    assert_eq!(plain["thinking"], json!({"type": "enabled", "budget_tokens": 8_192}));
    assert!(plain["max_tokens"].as_u64() > Some(8_192) && plain.get("temperature").is_none(), "{plain}");
    assert_eq!(effort(json!({"max_output_tokens": 4_096}))["thinking"]["budget_tokens"], 2_048);
    assert_eq!(effort(json!({"max_output_tokens": 100})).get("thinking"), None);
    let tools = json!([{"type": "function", "name": "f"}]);
    assert_eq!(effort(json!({"tools": tools, "tool_choice": "required"})).get("thinking"), None);
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
    let input = json!([{"role": "user", "content": "hi"}, call, output]);
    assert_eq!(effort(json!({"input": input})).get("thinking"), None, "the turn began without thinking");
    let request = asked(&json!({"reasoning": {"effort": "medium"}}));
    assert_eq!(sent(&request, Format::Anthropic, false).get("thinking"), None);
    assert_eq!(sent(&request, Format::Openai, true)["reasoning_effort"], "medium");
}

#[test]
fn only_allowed_tools_are_sent() {
    let tools = json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]);
    let choice = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]});
    let request = asked(&json!({"tools": tools, "tool_choice": choice}));
    let body = sent(&request, Format::Anthropic, false);
    assert_eq!((body["tools"].as_array().unwrap().len(), &body["tools"][0]["name"]), (1, &json!("g")));
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(sent(&request, Format::Openai, false)["tool_choice"], "required");
}

#[test]
fn what_an_upstream_cannot_honour_is_refused_with_its_place() {
    let said = json!({"role": "user", "content": "hi"});
    let part = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let cases = [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"background": true}), "background"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}), "tools[1]"),
        (json!({"tool_choice": {"type": "web_search"}}), "tool_choice"),
        (json!({"input": [said, {"type": "item_reference", "id": "msg_1"}]}), "input[1]"),
        (json!({"input": [said, {"type": "web_search_call", "id": "ws_1"}]}), "input[1]"),
        (
            json!({"input": [said, {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAA"}]}),
            "input[1].encrypted_content",
        ),
        (json!({"input": [said, {"type": "function_call_output", "call_id": "c", "output": "1"}]}), "input[1].call_id"),
        (json!({"input": [said, {"role": "assistant", "content": "So"}]}), "input[1]"),
        (part(json!({"type": "input_image", "file_id": "f"})), "input[0].content[0].file_id"),
        (part(json!({"type": "input_file", "file_url": "https://x/y.pdf"})), "input[0].content[0].file_url"),
        (json!({"max_output_tokens": "many"}), "max_output_tokens"),
        (json!({"input": []}), "input"),
    ];
    for (more, param) in cases {
        for to in Format::ALL {
            assert_eq!(refused(&more, to), param, "{more}");
        }
    }
    let odd = [
        (part(json!({"type": "input_audio", "input_audio": {}})), "input[0].content[0]"),
        (part(json!({"type": "input_image", "image_url": "data:image/tiff;base64,AA"})), "input[0].content[0]"),
        (json!({"text": {"format": {"type": "json_object"}}}), "text.format"),
        (
            json!({"input": [said, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}]}),
            "input[1].arguments",
        ),
        (json!({"input": [{"role": "system", "content": "hi"}]}), "input"),
    ];
    for (more, param) in odd {
        assert_eq!(refused(&more, Format::Anthropic), param, "{more}");
    }
}
