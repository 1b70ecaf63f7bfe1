//! Golden files of both directions under `tests/golden/translate`: the original and its translation.

mod case;
mod responses;
mod differential;
mod validity;

use bytes::Bytes;
use insta::assert_snapshot;
use serde_json::{Value, json};

use self::case::{events, golden, pretty, refusals};
use super::*;

fn translation(wire: Wire, request: &Value) -> Translation {
    translated(wire, other(wire), request)
}

fn translated(wire: Wire, to: Format, request: &Value) -> Translation {
    let mut translation = Translation::of(wire, to, request.to_string().as_bytes()).unwrap();
    translation.created = 1_700_000_000;
    translation.fallback_id = "msg_none".to_owned();
    if let Some(expected) = translation.responses.as_mut().map(Arc::make_mut) {
        expected.id = "resp_0".to_owned();
        expected.created = translation.created;
    }
    translation
}

/// Returns the format that requests of format `wire` are translated to.
fn other(wire: Wire) -> Format {
    if wire == Wire::Chat { Format::Anthropic } else { Format::Openai }
}

/// Returns a complete exchange: request and response, each before and after translation.
fn exchange(wire: Wire, request: &Value, answer: &Value) -> String {
    let translation = translation(wire, request);
    let asked = translation.body("the-upstreams-name", Dialect { reasons: true, ..Dialect::default() });
    let answered = translation.response(answer.to_string().as_bytes(), "m").unwrap();
    [
        ("the client asks", pretty(request.to_string().as_bytes())),
        ("the upstream reads", pretty(&asked)),
        ("the upstream answers", pretty(answer.to_string().as_bytes())),
        ("the client reads", pretty(&answered)),
    ]
    .map(|(title, text)| format!("== {title}\n{text}\n"))
    .concat()
}

/// Returns the stream of the upstream and its translation, which must not depend on the chunk boundaries.
fn streamed(wire: Wire, request: &Value, stream: &str) -> String {
    streamed_from(wire, other(wire), request, stream)
}

fn streamed_from(wire: Wire, to: Format, request: &Value, stream: &str) -> String {
    let read = |size: usize| {
        let mut translator = translated(wire, to, request).stream(10_000, "m");
        let pieces = stream.as_bytes().chunks(size);
        let text: String = pieces.map(|piece| translator.push(Bytes::copy_from_slice(piece))).collect();
        text + &translator.finish()
    };
    let whole = read(usize::MAX);
    for size in [1, 3, 64] {
        assert_eq!(read(size), whole, "in pieces of {size} bytes");
    }
    format!("== the upstream answers\n{stream}== the client reads\n{whole}")
}

#[test]
fn a_chat_with_tools_images_and_files_is_translated_to_anthropic_and_back() {
    golden(|| assert_snapshot!("chat-to-messages", exchange(Wire::Chat, &case::chat(), &case::message())));
}

#[test]
fn messages_with_tools_images_and_documents_are_translated_to_openai_and_back() {
    golden(|| assert_snapshot!("messages-to-chat", exchange(Wire::Messages, &case::messages(), &case::completion())));
}

#[test]
fn a_stream_of_messages_is_translated_to_chunks() {
    let request = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true,
                         "stream_options": {"include_usage": true}});
    golden(|| assert_snapshot!("stream-of-messages", streamed(Wire::Chat, &request, &case::message_stream())));
}

#[test]
fn a_stream_of_chunks_is_translated_to_messages() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    golden(|| assert_snapshot!("stream-of-chunks", streamed(Wire::Messages, &request, &case::chunk_stream())));
}

#[test]
fn an_error_in_a_stream_ends_it_without_the_final_event() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let chunk = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "ho"}}]});
    let error = json!({"error": {"message": "out of memory", "type": "server_error", "code": null}});
    let chunks = format!("{}data: [DONE]\n\n", events(&[chunk, error]));
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}});
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let messages = events(&[start, error, json!({"type": "message_stop"})]);
    let both = streamed(Wire::Messages, &request, &chunks) + &streamed(Wire::Chat, &request, &messages);
    golden(|| assert_snapshot!("streams-with-errors", both));
}

#[test]
fn unsupported_fields_are_refused_with_their_path() {
    golden(|| {
        assert_snapshot!("refused-chat", refusals(Wire::Chat, &case::untranslatable_chat()));
        assert_snapshot!("refused-messages", refusals(Wire::Messages, &case::untranslatable_messages()));
    });
}

#[test]
fn errors_of_upstreams_are_translated_to_the_clients_format() {
    let openai = json!({"error": {"message": "slow down", "type": "rate_limit_error", "param": null, "code": "x"}});
    let anthropic = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}});
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let read = |wire, status, error: &str| {
        let body = translation(wire, &request).error(status, Bytes::from(error.to_owned()));
        format!("{} {status} {error}\n    {}\n", wire.as_str(), String::from_utf8_lossy(&body))
    };
    let mut lines = String::new();
    for status in [400, 401, 403, 404, 413, 429, 500, 503] {
        lines.push_str(&read(Wire::Messages, status, &openai.to_string()));
    }
    lines.push_str(&read(Wire::Messages, 500, r#"{"error":"in one word"}"#));
    lines.push_str(&read(Wire::Messages, 502, "<html>bad gateway</html>"));
    lines.push_str(&read(Wire::Chat, 429, &anthropic.to_string()));
    lines.push_str(&read(Wire::Chat, 502, "<html>bad gateway</html>"));
    golden(|| assert_snapshot!("errors", lines));
}

#[test]
fn a_stream_without_done_is_complete_only_after_its_finish_reason() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let chunk = |reason: Value| json!({"choices": [{"index": 0, "delta": {"content": "ho"}, "finish_reason": reason}]});
    let cut = streamed(Wire::Messages, &request, &events(&[chunk(Value::Null)]));
    assert!(!cut.contains("message_stop"), "{cut}");
    let whole = streamed(Wire::Messages, &request, events(&[chunk(json!("length"))]).trim_end());
    assert!(whole.contains("max_tokens") && whole.trim_end().ends_with(r#"{"type":"message_stop"}"#), "{whole}");
}

#[test]
fn unnumbered_and_interleaved_tool_calls_keep_their_arguments_separate() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let call = |index: Option<u64>, id: &str, arguments: &str| {
        let mut call = json!({"function": {"name": "look", "arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        if !id.is_empty() {
            call["id"] = json!(id);
        }
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    };
    let [one, two] = ["{\"n\":1}", "{\"n\":2}"];
    let numbered = [call(Some(0), "a", ""), call(Some(1), "b", ""), call(Some(0), "", one), call(Some(1), "", two)];
    let unnumbered = [call(None, "a", ""), call(None, "", one), call(None, "b", ""), call(None, "", two)];
    for chunks in [numbered, unnumbered] {
        let text = streamed(Wire::Messages, &request, &events(&chunks));
        let pieces = crate::api::sse::data(text.split("reads\n").last().unwrap().as_bytes());
        let pieces = pieces.iter().map(|data| serde_json::from_str::<Value>(data).unwrap());
        let said: Vec<_> = pieces
            .filter(|event| event["type"] == "content_block_delta")
            .map(|event| (event["index"].clone(), event["delta"]["partial_json"].clone()))
            .collect();
        assert_eq!(said, [(json!(0), json!(one)), (json!(1), json!(two))]);
    }
}

#[test]
fn a_truncated_tool_call_has_the_stop_reason_max_tokens() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let call = json!({"id": "c", "function": {"name": "look", "arguments": "{\"path\": \"/tm"}});
    let stop = |reason: &str| {
        let choice = json!({"message": {"content": null, "tool_calls": [call]}, "finish_reason": reason});
        let answer =
            translation(Wire::Messages, &request).response(json!({"choices": [choice]}).to_string().as_bytes(), "m");
        let read: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        read["stop_reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        ["length", "content_filter", "stop", "tool_calls"].map(stop),
        ["max_tokens", "refusal", "tool_use", "tool_use"]
    );
}

#[test]
fn text_parts_and_split_surrogates_are_translated_and_invalid_events_fail() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let parts =
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"ho"}]}}]}"#;
    let half = r#"{"choices":[{"delta":{"content":"x\ud83dy"}}]}"#;
    let text = streamed(Wire::Messages, &request, &format!("data: {parts}\n\ndata: {half}\n\n"));
    assert!(text.contains(r#""text":"ho""#) && text.contains("\"text\":\"x\u{fffd}y\""), "{text}");
    for wire in [Wire::Messages, Wire::Chat] {
        let mut stream = translation(wire, &request).stream(100, "m");
        assert_eq!(
            (stream.push(Bytes::from("data: {\n\ndata: [DONE]\n\n")).as_str(), stream.failure().is_some()),
            ("", true)
        );
        assert_eq!((stream.finish().as_str(), stream.failure()), ("", None), "only once");
        let mut stream = translation(wire, &request).stream(100, "m");
        assert_eq!((stream.push(Bytes::from(vec![b'x'; 101])).as_str(), stream.failure().is_some()), ("", true));
    }
}

#[test]
fn text_between_the_fragments_of_a_tool_call_follows_it() {
    let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    let call = |arguments: &str| json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]}}]});
    let said = json!({"choices": [{"delta": {"content": "so"}}]});
    let last = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
    let text = streamed(Wire::Messages, &request, &events(&[call("{\"p\":"), said.clone(), call("1}"), said, last]));
    let read = crate::api::sse::data(text.split("reads\n").last().unwrap().as_bytes());
    let read = read.iter().map(|data| serde_json::from_str::<Value>(data).unwrap());
    let deltas: Vec<_> =
        read.filter(|event| event["type"] == "content_block_delta").map(|event| event["delta"].clone()).collect();
    let expected = [
        json!({"type": "input_json_delta", "partial_json": "{\"p\":"}),
        json!({"type": "input_json_delta", "partial_json": "1}"}),
        json!({"type": "text_delta", "text": "soso"}),
    ];
    assert_eq!(deltas, expected);
}

#[test]
fn legacy_function_fields_are_refused() {
    let refused = |message: Value| {
        let chat = json!({"messages": [{"role": "user", "content": "hi"}, message]});
        Translation::of(Wire::Chat, Format::Anthropic, chat.to_string().as_bytes()).unwrap_err().param.into_owned()
    };
    assert_eq!(
        refused(json!({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}})),
        "messages[1].function_call"
    );
    assert_eq!(refused(json!({"role": "function", "name": "f", "content": "1"})), "messages[1].role");
    assert_eq!(refused(json!({"role": "assistant", "audio": {"id": "a"}})), "messages[1].audio");
}

#[test]
fn an_effort_is_only_sent_to_llms_that_reason() {
    let request = json!({"max_tokens": 9_000, "messages": [{"role": "user", "content": "hi"}],
                         "thinking": {"type": "enabled", "budget_tokens": 4_000}});
    let translation = translation(Wire::Messages, &request);
    let effort = |reasons| {
        let dialect = Dialect { reasons, ..Dialect::default() };
        let body: Value = serde_json::from_slice(&translation.body("o", dialect)).unwrap();
        body.get("reasoning_effort").cloned()
    };
    assert_eq!((effort(true), effort(false)), (Some(json!("medium")), None));
}
