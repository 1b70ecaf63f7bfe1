//! Translation between all formats, of requests, whole responses and streams: what comes out is what the other side's reader takes.

use std::collections::BTreeSet;

use bytes::Bytes;
use personaroute_gateway::api::{
    Wire, sse,
    translate::{Dialect, Format, Translation},
};
use serde_json::Value;

use crate::body::TRANSLATED;

/// A request that every format reads.
const REQUEST: &[u8] = br#"{"model":"m","max_tokens":9,"stream":true,"input":"hi","reasoning":{"summary":"auto"},
    "messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","name":"f","function":{"name":"f"}}]}"#;

/// The same without tools, which messages write differently.
const PLAIN: &[u8] = br#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// More than any input.
const MOST: usize = 1 << 20;

/// Holds the translations to `input`, whose first byte says where a stream is cut.
pub fn hold(input: &[u8]) {
    let (cut, body) = input.split_at(input.len().min(1));
    let cut = cut.first().copied().map_or(1, usize::from).max(1);
    for (wire, to) in TRANSLATED {
        request(wire, to, body);
        let known = if wire == Wire::Messages { PLAIN } else { REQUEST };
        let Ok(translation) = Translation::of(wire, to, known) else {
            unreachable!("the request is translatable to {to:?}");
        };
        whole(wire, &translation, body);
        stream(wire, &translation, body, cut);
    }
}

fn request(wire: Wire, to: Format, body: &[u8]) {
    let Ok(translation) = Translation::of(wire, to, body) else {
        return;
    };
    for reasons in [false, true] {
        let written = translation.body("m", Dialect { reasons, has_old_output_limit: false });
        let Ok(request) = serde_json::from_slice::<Value>(&written) else {
            unreachable!("a translated request is no JSON: {}", String::from_utf8_lossy(&written));
        };
        match to {
            Format::Anthropic => messages(&request),
            Format::Openai => chat(&request),
        }
    }
}

/// Asserts what Anthropic's validator checks.
fn messages(request: &Value) {
    let turns = list(request, "messages");
    let roles: Vec<&str> = turns.iter().map(|turn| text(turn, "role")).collect();
    assert_eq!(roles.first(), Some(&"user"), "{request}");
    assert_eq!(roles.last(), Some(&"user"), "{request}");
    assert!(roles.windows(2).all(|pair| pair.first() != pair.last()), "roles do not alternate: {request}");
    assert!(request.get("max_tokens").and_then(Value::as_u64).is_some_and(|most| most > 0), "{request}");
    assert!(request.get("temperature").and_then(Value::as_f64).is_none_or(|value| value <= 1.0), "{request}");
    for block in turns.iter().flat_map(|turn| list(turn, "content")) {
        let id = if text(block, "type") == "tool_use" { text(block, "id") } else { text(block, "tool_use_id") };
        assert!(id.len() <= 64 && id.bytes().all(is_plain), "an id is refused: {request}");
        assert!(text(block, "type") != "text" || !text(block, "text").trim().is_empty(), "blank text: {request}");
    }
    let budget = request.pointer("/thinking/budget_tokens").and_then(Value::as_u64);
    assert!(
        budget.is_none_or(|budget| budget >= 1_024 && request.get("max_tokens").and_then(Value::as_u64) > Some(budget)),
        "{request}"
    );
}

/// Asserts what OpenAI's validator checks.
fn chat(request: &Value) {
    let messages = list(request, "messages");
    assert!(!messages.is_empty(), "{request}");
    for message in messages {
        let calls = list(message, "tool_calls").iter().map(|call| text(call, "id"));
        assert!(calls.chain([text(message, "tool_call_id")]).all(|id| id.len() <= 40), "an id is too long: {request}");
    }
    let names = list(request, "tools").iter().filter_map(|tool| tool.get("function")).map(|tool| text(tool, "name"));
    assert!(names.into_iter().all(|name| name.len() <= 64 && name.bytes().all(is_plain)), "{request}");
    assert!(list(request, "stop").len() <= 4, "{request}");
}

fn whole(wire: Wire, translation: &Translation, body: &[u8]) {
    let Some(written) = translation.response(body, "m") else {
        return;
    };
    let Ok(response) = serde_json::from_slice::<Value>(&written) else {
        unreachable!("a translated response is no JSON: {}", String::from_utf8_lossy(&written));
    };
    match wire {
        Wire::Chat => assert!(response.pointer("/choices/0/message").is_some(), "{response}"),
        Wire::Messages => assert!(response.get("content").is_some_and(Value::is_array), "{response}"),
        Wire::Responses | Wire::Completions | Wire::Embeddings => is_response(&response),
    }
}

fn is_response(response: &Value) {
    let items = list(response, "output");
    let ids: BTreeSet<&str> = items.iter().map(|item| text(item, "id")).collect();
    assert_eq!(ids.len(), items.len(), "ids are repeated: {response}");
    assert!(["completed", "incomplete", "failed"].contains(&text(response, "status")), "{response}");
    let calls = items.iter().filter(|item| text(item, "type") == "function_call");
    assert!(calls.into_iter().all(|call| !text(call, "call_id").is_empty()), "a call has no id: {response}");
}

fn stream(wire: Wire, translation: &Translation, body: &[u8], cut: usize) {
    let read = |size: usize| {
        let mut translator = translation.stream(MOST, "m");
        let text: String = body.chunks(size).map(|piece| translator.push(Bytes::copy_from_slice(piece))).collect();
        text + &translator.finish()
    };
    let written = read(MOST);
    assert_eq!(read(cut), written, "the cuts change the translation");
    if wire != Wire::Responses {
        return;
    }
    let events = sse::data(written.as_bytes());
    let mut done = Vec::new();
    for (number, data) in events.iter().enumerate() {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            unreachable!("an event is no JSON: {data}");
        };
        assert_eq!(event.get("sequence_number").and_then(Value::as_u64), u64::try_from(number).ok(), "{data}");
        let kind = text(&event, "type");
        if kind == "response.output_item.done" {
            done.extend(event.get("item").cloned());
        }
        if ["response.completed", "response.incomplete"].contains(&kind) {
            assert_eq!(number + 1, events.len(), "something follows the end: {written}");
            let response = event.get("response").unwrap_or(&Value::Null);
            is_response(response);
            assert_eq!(list(response, "output"), done, "the end differs from its items");
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}
