//! The Anthropic client: a reply and a stream of `/v1/messages`.

use personaroute_harness::gateway::Gateway;
use personaroute_harness::python;
use personaroute_harness::upstream::{FakeUpstream, Frame, Recorded, Reply};
use serde_json::{Value, json};

use super::configuration;

#[test]
fn the_anthropic_client_works_unchanged() {
    let upstream = FakeUpstream::start(|request, _| answer(request)).unwrap();
    let gateway = Gateway::start(&configuration("anthropic", &upstream)).unwrap();
    let base = gateway.base_url();
    let arguments = [base.trim_end_matches("/v1")];
    let script = include_str!("anthropic_client.py");
    let seen: Value = serde_json::from_str(&python::run(script, &arguments).unwrap()).unwrap();

    assert_eq!(seen["content"], "Twenty-five.");
    assert_eq!(seen["pieces"], json!(["Twenty", "-five."]));
    assert_eq!(seen["not_found"], 404);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.path == "/v1/messages"));
    assert_eq!(requests[0].header("x-api-key"), "test-fake_api_key");
    assert!(!requests[0].header("anthropic-version").is_empty());
}

fn answer(request: &Recorded) -> Reply {
    let usage = json!({ "input_tokens": 9, "output_tokens": 3 });
    if request.json()["stream"] != json!(true) {
        let content = json!([{ "type": "text", "text": "Twenty-five." }]);
        return Reply::json(
            200,
            &json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": content,
                     "stop_reason": "end_turn", "stop_sequence": null, "usage": usage }),
        );
    }
    let start = json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
        "model": "fake", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage } });
    let open = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let piece = |text: &str| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
    let end = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
        "usage": { "output_tokens": 3 } });
    let events = [
        start,
        open,
        piece("Twenty"),
        piece("-five."),
        json!({ "type": "content_block_stop", "index": 0 }),
        end,
        json!({ "type": "message_stop" }),
    ];
    Reply::events(events.iter().map(named_event).collect())
}

/// An event as Anthropic writes it: its name on a line of its own.
pub(super) fn named_event(event: &Value) -> Frame {
    let name = event["type"].as_str().unwrap_or_default();
    Frame::Data(format!("event: {name}\ndata: {event}\n\n").into())
}
