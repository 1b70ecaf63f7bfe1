//! Tool loops with parallel calls: the official clients for Python and Node and the Vercel AI SDK, each over both kinds of
//! upstream, whole and streamed, `/v1/responses` included.

use personaroute_harness::gateway::Gateway;
use personaroute_harness::upstream::{FakeUpstream, Frame, Recorded, Reply};
use personaroute_harness::{node, python};
use serde_json::{Value, json};

use super::{anthropic::named_event, configuration};

/// What the LLM calls in its first turn.
const CITIES: [&str; 2] = ["Oslo", "Rome"];

/// What it says in its second turn.
const ANSWER: &str = "Sunny.";

/// Runs `script` against a gateway over an upstream of `kind`, and checks what each of its loops saw.
fn check(kind: &str, responses: &str, loops: usize, script: impl Fn(&str) -> anyhow::Result<Option<String>>) {
    let upstream = FakeUpstream::start(|request, _| match request.path.as_str() {
        "/v1/messages" => message(request),
        _ => completion(request),
    });
    let upstream = upstream.unwrap();
    let configuration =
        configuration(kind, &upstream).replace(&format!("kind: {kind},"), &format!("kind: {kind}, {responses}"));
    let gateway = Gateway::start(&configuration).unwrap();
    let Some(text) = script(&gateway.base_url()).unwrap() else { return };
    let seen: Value = serde_json::from_str(&text).unwrap();
    let seen = seen.as_object().unwrap();
    assert_eq!(seen.len(), loops, "{seen:?}");
    let expected = json!({"calls": CITIES.map(|city| ["weather", city]), "text": ANSWER});
    for (name, seen) in seen {
        assert_eq!(*seen, expected, "{name}");
    }
    // In the second turn the results are still told apart.
    let body = upstream.requests().pop().unwrap().json().to_string();
    assert!(["call_0", "call_1"].iter().all(|id| body.matches(id).count() == 2), "{body}");
}

/// Upstreams of both kinds. Chats alone are what servers of OpenAI's kind other than OpenAI's have.
const KINDS: [(&str, &str); 2] = [("openai", "responses: chat,"), ("anthropic", "")];

#[test]
fn the_python_clients_loop_over_both_kinds_of_upstream() {
    for (kind, responses) in KINDS {
        let script = include_str!("responses_loop.py");
        check(kind, responses, 6, |base| python::run(script, &[base]).map(Some));
    }
}

#[test]
fn openais_client_for_node_loops_over_both_kinds_of_upstream() {
    for (kind, responses) in KINDS {
        check(kind, responses, 6, |base| node::run(include_str!("openai_loop.mjs"), &[base, "openai"]));
    }
}

#[test]
fn an_older_client_of_openai_for_node_loops_over_both_kinds_of_upstream() {
    for (kind, responses) in KINDS {
        check(kind, responses, 2, |base| node::run(include_str!("openai_loop.mjs"), &[base, "openai-older"]));
    }
}

#[test]
fn anthropics_client_for_node_loops_over_both_kinds_of_upstream() {
    for (kind, responses) in KINDS {
        check(kind, responses, 2, |base| node::run(include_str!("anthropic_loop.mjs"), &[base]));
    }
}

#[test]
fn the_vercel_ai_sdk_loops_over_both_kinds_of_upstream() {
    for (kind, responses) in KINDS {
        check(kind, responses, 6, |base| node::run(include_str!("vercel_loop.mjs"), &[base]));
    }
}

fn has_results(request: &Recorded) -> bool {
    let body = request.json();
    let last = body["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
    last["role"] == "tool" || last["content"][0]["type"] == "tool_result"
}

fn arguments(city: &str) -> String {
    json!({ "city": city }).to_string()
}

fn completion(request: &Recorded) -> Reply {
    let is_answer = has_results(request);
    let call = |(idx, city): (usize, &str)| {
        json!({"index": idx, "id": format!("call_{idx}"), "type": "function",
               "function": {"name": "weather", "arguments": arguments(city)}})
    };
    let reason = if is_answer { "stop" } else { "tool_calls" };
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    let calls: Vec<Value> = CITIES.into_iter().enumerate().map(call).collect();
    if request.json()["stream"] != json!(true) {
        let message = match is_answer {
            true => json!({"role": "assistant", "content": ANSWER}),
            false => json!({"role": "assistant", "content": "Let me see.", "tool_calls": calls}),
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": reason, "logprobs": null});
        return Reply::json(
            200,
            &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice], "usage": usage}),
        );
    }
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason, "logprobs": null});
        Frame::event(
            &json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice]}),
        )
    };
    let mut frames: Vec<Frame> = match is_answer {
        true => vec![chunk(json!({"role": "assistant", "content": ANSWER}), Value::Null)],
        false => calls.into_iter().map(|call| chunk(json!({"tool_calls": [call]}), Value::Null)).collect(),
    };
    frames.push(chunk(json!({}), json!(reason)));
    frames.push(Frame::done());
    Reply::events(frames)
}

fn message(request: &Recorded) -> Reply {
    let is_answer = has_results(request);
    let reason = if is_answer { "end_turn" } else { "tool_use" };
    let usage = json!({"input_tokens": 11, "output_tokens": 7});
    let head = |content: Value, reason: Value| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": content,
               "stop_reason": reason, "stop_sequence": null, "usage": usage})
    };
    let call = |idx: usize, input: Value| json!({"type": "tool_use", "id": format!("call_{idx}"), "name": "weather", "input": input});
    if request.json()["stream"] != json!(true) {
        let content = match is_answer {
            true => json!([{"type": "text", "text": ANSWER}]),
            false => json!([{"type": "text", "text": "Let me see."},
                            call(0, json!({"city": CITIES[0]})), call(1, json!({"city": CITIES[1]}))]),
        };
        return Reply::json(200, &head(content, json!(reason)));
    }
    let block = |idx: usize, block: Value, delta: Value| {
        [
            json!({"type": "content_block_start", "index": idx, "content_block": block}),
            json!({"type": "content_block_delta", "index": idx, "delta": delta}),
            json!({"type": "content_block_stop", "index": idx}),
        ]
    };
    let text = |text: &str| block(0, json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}));
    let mut events = vec![json!({"type": "message_start", "message": head(json!([]), Value::Null)})];
    if is_answer {
        events.extend(text(ANSWER));
    } else {
        events.extend(text("Let me see."));
        for (idx, city) in CITIES.into_iter().enumerate() {
            let delta = json!({"type": "input_json_delta", "partial_json": arguments(city)});
            events.extend(block(idx + 1, call(idx, json!({})), delta));
        }
    }
    let end = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}}));
    events.push(json!({"type": "message_stop"}));
    Reply::events(events.iter().map(named_event).collect())
}
