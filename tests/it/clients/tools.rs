//! Each official client against each kind of upstream: a streamed tool call, its result, a streamed answer, a cut.

use personaroute_harness::gateway::Gateway;
use personaroute_harness::python;
use personaroute_harness::upstream::{FakeUpstream, Frame, Recorded, Reply};
use serde_json::{Value, json};

use super::{anthropic::named_event, configuration};

const OPENAI: &str = include_str!("openai_tools.py");
const ANTHROPIC: &str = include_str!("anthropic_tools.py");

/// The pieces in which every upstream here sends the arguments of its call.
const ARGUMENTS: [&str; 2] = ["{\"city\": ", "\"Bern\"}"];

/// Runs a client's script against an upstream of a kind; returns what the client saw, and what the upstream.
fn run(script: &str, kind: &str, answer: fn(&Recorded) -> Reply) -> (Value, Vec<Value>) {
    let upstream = FakeUpstream::start(move |request, _| answer(request)).unwrap();
    let gateway = Gateway::start(&configuration(kind, &upstream)).unwrap();
    let base = gateway.base_url();
    // Anthropic's client adds the version itself.
    let base = if script == ANTHROPIC { base.trim_end_matches("/v1").to_owned() } else { base };
    let seen = serde_json::from_str(&python::run(script, &[base]).unwrap()).unwrap();
    (seen, upstream.requests().iter().map(Recorded::json).collect())
}

/// What a client must have seen, whatever the upstream speaks; only the words for a reason are the client's own.
fn check(seen: &Value, called: &str, stopped: &str) {
    let first = &seen["turns"][0];
    assert_eq!(first["pieces"], json!(["Let me ", "see."]));
    assert_eq!(first["arguments"].as_array().unwrap().iter().filter(|piece| **piece != "").count(), 2, "{first}");
    let call = first["calls"][0].as_array().unwrap();
    assert_eq!((&call[0], &call[1]), (&json!("call_1"), &json!("weather")));
    assert_eq!(serde_json::from_str::<Value>(call[2].as_str().unwrap()).unwrap(), json!({"city": "Bern"}));
    assert_eq!((&first["reason"], &first["tokens"]), (&json!(called), &json!([11, 7])));
    let second = &seen["turns"][1];
    assert_eq!((&second["pieces"], &second["calls"]), (&json!(["Sunny", "."]), &json!([])));
    assert_eq!((&second["reason"], &second["tokens"]), (&json!(stopped), &json!([11, 7])));
    assert_eq!(seen["broken"], "the upstream truncated its response");
}

#[test]
fn openais_client_streams_with_tools_from_an_openai_upstream() {
    let (seen, requests) = run(OPENAI, "openai", openai);
    check(&seen, "tool_calls", "stop");
    assert_eq!(requests[0]["messages"][1]["content"][1]["type"], "image_url");
}

#[test]
fn openais_client_streams_with_tools_from_an_anthropic_upstream() {
    let (seen, requests) = run(OPENAI, "anthropic", anthropic);
    check(&seen, "tool_calls", "stop");
    assert_eq!(requests[0]["system"][0]["text"], "Be brief.");
    assert_eq!(requests[0]["messages"][0]["content"][1]["source"]["data"], "AAAA");
    assert_eq!(requests[0]["tools"][0]["input_schema"]["required"], json!(["city"]));
    let result =
        json!({"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "sunny"}]});
    assert_eq!(requests[1]["messages"][2]["content"], json!([result]));
}

#[test]
fn anthropics_client_streams_with_tools_from_an_anthropic_upstream() {
    let (seen, requests) = run(ANTHROPIC, "anthropic", anthropic);
    check(&seen, "tool_use", "end_turn");
    assert_eq!(requests[0]["messages"][0]["content"][1]["source"]["data"], "AAAA");
}

#[test]
fn anthropics_client_streams_with_tools_from_an_openai_upstream() {
    let (seen, requests) = run(ANTHROPIC, "openai", openai);
    check(&seen, "tool_use", "end_turn");
    assert_eq!(requests[0]["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!(requests[0]["messages"][1]["content"][1]["image_url"]["url"], "data:image/png;base64,AAAA");
    assert_eq!(requests[0]["tools"][0]["function"]["parameters"]["required"], json!(["city"]));
    let turns = &requests[1]["messages"];
    assert_eq!(turns[3], json!({"role": "tool", "tool_call_id": "call_1", "content": "sunny"}));
    assert_eq!(turns[4]["content"][0]["type"], "image_url", "a tool's image is shown by the user");
}

/// What the last message asks for.
fn last(request: &Recorded) -> Value {
    request.json()["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default()
}

fn openai(request: &Recorded) -> Reply {
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason, "logprobs": null});
        Frame::event(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake",
                             "choices": [choice]}))
    };
    let said = |text: &str| chunk(json!({"role": "assistant", "content": text}), Value::Null);
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let turn = last(request);
    if turn["content"] == "break" {
        return Reply::events(vec![said("So"), Frame::Cut]);
    }
    let is_answered = request.json()["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
    let mut frames = if is_answered {
        vec![said("Sunny"), said("."), chunk(json!({}), json!("stop"))]
    } else {
        let function = json!({"name": "weather", "arguments": ""});
        let piece = |text: &str| call(json!({"index": 0, "function": {"arguments": text}}));
        let begun = call(json!({"index": 0, "id": "call_1", "type": "function", "function": function}));
        let called = chunk(json!({}), json!("tool_calls"));
        vec![said("Let me "), said("see."), begun, piece(ARGUMENTS[0]), piece(ARGUMENTS[1]), called]
    };
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    frames.push(Frame::event(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake",
                                     "choices": [], "usage": usage})));
    frames.push(Frame::done());
    Reply::events(frames)
}

fn anthropic(request: &Recorded) -> Reply {
    let usage = json!({"input_tokens": 11, "output_tokens": 1});
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "fake", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage}});
    let open =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let said = |text: &str| delta(0, json!({"type": "text_delta", "text": text}));
    let close = |index: u64| json!({"type": "content_block_stop", "index": index});
    let text = || open(0, json!({"type": "text", "text": ""}));
    let frames = |events: &[Value]| events.iter().map(named_event).collect::<Vec<_>>();
    let content = last(request)["content"].clone();
    if content == "break" || content[0]["text"] == "break" {
        let mut cut = frames(&[start, text(), said("So")]);
        cut.push(Frame::Cut);
        return Reply::events(cut);
    }
    let (mut events, reason) = if content[0]["type"] == "tool_result" {
        (vec![start, text(), said("Sunny"), said("."), close(0)], "end_turn")
    } else {
        let call = open(1, json!({"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}));
        let piece = |text: &str| delta(1, json!({"type": "input_json_delta", "partial_json": text}));
        let pieces = [piece(ARGUMENTS[0]), piece(ARGUMENTS[1])];
        let mut events = vec![start, text(), said("Let me "), said("see."), close(0), call];
        events.extend(pieces);
        events.push(close(1));
        (events, "tool_use")
    };
    let end = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}}));
    events.push(json!({"type": "message_stop"}));
    Reply::events(frames(&events))
}
