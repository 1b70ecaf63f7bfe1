//! The test cases: requests and responses of both formats with every translatable field, and some unsupported ones.

use insta::Settings;
use serde_json::{Value, json};

use crate::api::{
    Wire,
    translate::{Dialect, Translation},
};

/// Runs `test` with its snapshots under `tests/golden/translate`.
pub(super) fn golden(test: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/translate"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(test);
}

/// Returns JSON in lines of its own.
pub(super) fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// Returns data as a stream of events; Anthropic's have names.
pub(super) fn events(data: &[Value]) -> String {
    let name = |data: &Value| data["type"].as_str().map_or_else(String::new, |name| format!("event: {name}\n"));
    data.iter().map(|data| format!("{}data: {data}\n\n", name(data))).collect()
}

/// Returns what is said to each request that adds one of `fragments` to a plain one.
pub(super) fn refusals(wire: Wire, fragments: &[Value]) -> String {
    let mut lines = String::new();
    for fragment in fragments {
        let mut request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(fragment.as_object().unwrap().clone());
        let said = match Translation::of(wire, super::other(wire), request.to_string().as_bytes()) {
            Ok(translation) => {
                format!("is left out: {}", String::from_utf8_lossy(&translation.body("m", Dialect::default())))
            }
            Err(invalid) => format!("{}: {invalid}", invalid.param),
        };
        lines.push_str(&format!("{fragment}\n    {said}\n"));
    }
    lines
}

pub(super) fn chat() -> Value {
    json!({
        "model": "auto", "temperature": 1.5, "top_p": 0.9, "stop": "END", "user": "ada", "max_completion_tokens": 300,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "and kind"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}}]},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a dog"}]},
            {"role": "user", "content": "sure?"},
            {"role": "user", "content": ""}],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
            "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}}, "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "seed": 7, "logit_bias": {"50256": -100}, "presence_penalty": 0.1, "frequency_penalty": 0.1, "n": 1,
        "metadata": {"a": "b"}, "store": true, "reasoning_effort": "low", "x_made_up": [1],
    })
}

pub(super) fn message() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "Let me "}, {"type": "text", "text": "look."},
                    {"type": "tool_use", "id": "c3", "name": "look", "input": {"at": [1, 2.5]}}],
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1, "output_tokens": 5},
    })
}

pub(super) fn messages() -> Value {
    json!({
        "model": "auto", "max_tokens": 300, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END", "STOP"],
        "metadata": {"user_id": "ada"}, "service_tier": "auto", "x_made_up": [1],
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
                   {"type": "text", "text": "and kind"}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "title": "a.pdf",
                 "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a note"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "c2", "name": "look", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "a cat"},
                {"type": "tool_result", "tool_use_id": "c2", "is_error": true, "content": [
                    {"type": "text", "text": "a dog"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "CCCC"}}]},
                {"type": "text", "text": "sure?"}]}],
        "tools": [
            {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}},
             "strict": true, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "stop", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
    })
}

pub(super) fn completion() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "gpt", "system_fingerprint": "fp",
        "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Let me look.", "refusal": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "c3", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1.5}"}},
                {"id": "c4", "type": "function", "function": {"name": "stop", "arguments": ""}},
                {"id": "c5", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1"}}]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                  "prompt_tokens_details": {"cached_tokens": 4}},
    })
}

pub(super) fn message_stream() -> String {
    let usage = json!({"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1});
    let block =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
    let piece = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    events(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": usage}}),
        json!({"type": "ping"}),
        block(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        block(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hé"})),
        json!({"type": "content_block_stop", "index": 1}),
        block(2, call("c1")),
        delta(2, piece("{\"at\":")),
        delta(2, piece("1}")),
        block(3, call("c2")),
        delta(3, piece("{}")),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ])
}

pub(super) fn chunk_stream() -> String {
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt", "choices": choices,
               "usage": usage})
    };
    let delta = |delta: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]), Value::Null);
    let begin = |index: u64, id: &str| {
        let function = json!({"name": "look", "arguments": ""});
        delta(json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}))
    };
    let piece =
        |index: u64, json: &str| delta(json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]}));
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2}});
    let chunks = events(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "Hé"})),
        delta(json!({"content": "!"})),
        begin(0, "c1"),
        piece(0, "{\"at\":"),
        piece(0, "1}"),
        begin(1, "c2"),
        piece(1, "{}"),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]), Value::Null),
        chunk(json!([]), usage),
    ]);
    format!(": comment\n\n{chunks}data: [DONE]\n\n")
}

pub(super) fn untranslatable_chat() -> Vec<Value> {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]});
    let call = |call: Value| json!({"messages": [{"role": "assistant", "tool_calls": [call]}]});
    vec![
        json!({"n": 2}),
        json!({"logprobs": true}),
        json!({"logprobs": false, "n": 1, "audio": null, "functions": []}),
        json!({"functions": [{"name": "f"}]}),
        json!({"modalities": ["text", "audio"]}),
        json!({"web_search_options": {"search_context_size": "low"}}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "text"}}),
        json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
        json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools"}}),
        user(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
        user(json!({"type": "file", "file": {"file_id": "file-1"}})),
        call(json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"cut"}})),
        call(json!({"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}})),
    ]
}

pub(super) fn untranslatable_messages() -> Vec<Value> {
    let user =
        |block: Value| json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, block]}]});
    let answer = |block: Value| json!({"messages": [{"role": "assistant", "content": [block]}, {"role": "user", "content": "and?"}]});
    vec![
        json!({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}),
        json!({"container": "c", "mcp_servers": []}),
        json!({"output_config": {"format": {"type": "grammar"}}}),
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The answer is"}]}),
        user(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
        user(json!({"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}})),
        user(json!({"type": "search_result", "title": "t", "source": "s", "content": []})),
        user(
            json!({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "document", "source": {"type": "url"}}]}),
        ),
        answer(json!({"type": "server_tool_use", "id": "c", "name": "web_search", "input": {}})),
        answer(json!({"type": "redacted_thinking", "data": "x"})),
    ]
}
