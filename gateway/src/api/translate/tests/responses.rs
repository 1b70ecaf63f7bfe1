//! Responses over both kinds of upstream: whole, streamed, and in the next turn of a tool loop.

use insta::assert_snapshot;

use super::{
    case::{self, events, golden},
    *,
};

fn request() -> Value {
    json!({"model": "auto", "input": "hi", "stream": true, "reasoning": {"effort": "low", "summary": "auto"},
           "tools": [{"type": "function", "name": "look"}], "metadata": {"a": "b"}})
}

/// Returns the events of a stream, parsed.
fn read(text: &str) -> Vec<Value> {
    let events = crate::api::sse::data(text.as_bytes());
    events.iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn stream_of(to: Format, request: &Value, stream: &str) -> Vec<Value> {
    let text = streamed_from(Wire::Responses, to, request, stream);
    read(text.split("== the client reads\n").last().unwrap())
}

#[test]
fn streams_of_both_kinds_become_the_events_of_a_response() {
    let thinking = case::message_stream().replace(
        "{\"type\":\"content_block_start\",\"index\":1",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"Eq\"}}\n\n\
         data: {\"type\":\"content_block_stop\",\"index\":0}\n\ndata: {\"type\":\"content_block_start\",\"index\":1",
    );
    golden(|| {
        assert_snapshot!(
            "responses-stream-of-messages",
            streamed_from(Wire::Responses, Format::Anthropic, &request(), &thinking)
        );
        assert_snapshot!(
            "responses-stream-of-chunks",
            streamed_from(Wire::Responses, Format::Openai, &request(), &case::chunk_stream())
        );
    });
}

#[test]
fn events_are_numbered_and_the_last_one_contains_what_the_others_wrote() {
    for (to, stream) in [(Format::Anthropic, case::message_stream()), (Format::Openai, case::chunk_stream())] {
        let events = stream_of(to, &request(), &stream);
        let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
        let items: Vec<&Value> = done.map(|event| &event["item"]).collect();
        assert_eq!(last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>(), items);
        let text: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .map(|event| event["delta"].as_str().unwrap())
            .collect();
        let message = items.iter().find(|item| item["type"] == "message").unwrap();
        assert_eq!(message["content"][0]["text"], text);
        let calls: Vec<_> = items.iter().filter(|item| item["type"] == "function_call").collect();
        assert_eq!(calls.iter().map(|call| &call["call_id"]).collect::<Vec<_>>(), ["c1", "c2"]);
        assert_eq!(calls.iter().map(|call| &call["arguments"]).collect::<Vec<_>>(), ["{\"at\":1}", "{}"]);
        assert_eq!(last["response"]["usage"]["total_tokens"], 18);
    }
}

#[test]
fn interleaved_blocks_become_items_of_their_own() {
    let start =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let call =
        |index: u64| start(index, json!({"type": "tool_use", "id": format!("t{index}"), "name": "f", "input": {}}));
    let part = |index: u64, text: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": text}});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let given = start(2, json!({"type": "tool_use", "id": "t2", "name": "f", "input": {"city": "Rome"}}));
    let blocks = [call(0), call(1), part(0, "{\"a\":"), given, part(1, "{\"b\":"), part(0, "1}"), part(1, "2}")];
    let end = [json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}), json!({"type": "message_stop"})];
    for stops in [vec![stop(0), stop(1), stop(2)], Vec::new()] {
        let stream = events(&[&blocks[..], &stops, &end].concat());
        let events = stream_of(Format::Anthropic, &request(), &stream);
        let items = events.last().unwrap()["response"]["output"].as_array().unwrap().clone();
        let calls: Vec<_> = items.iter().map(|item| (item["call_id"].clone(), item["arguments"].clone())).collect();
        let expected = [("t0", "{\"a\":1}"), ("t1", "{\"b\":2}"), ("t2", "{\"city\":\"Rome\"}")];
        assert_eq!(calls, expected.map(|(id, arguments)| (json!(id), json!(arguments))));
    }
}

#[test]
fn whole_responses_of_both_kinds_have_the_same_items() {
    let answers = [(Format::Anthropic, case::message()), (Format::Openai, case::completion())];
    let whole = |(to, answer): (Format, Value)| {
        let body = translated(Wire::Responses, to, &request()).response(answer.to_string().as_bytes(), "m").unwrap();
        format!("== {}\n{}\n", to.name(), case::pretty(&body))
    };
    golden(|| assert_snapshot!("responses-whole", answers.map(whole).concat()));
}

#[test]
fn thinking_comes_back_in_the_next_turn() {
    let reply = json!({"id": "m", "model": "c", "stop_reason": "tool_use", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "Eq"}, {"type": "redacted_thinking", "data": "Em"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]});
    let answer = translated(Wire::Responses, Format::Anthropic, &request());
    let response = answer.response(reply.to_string().as_bytes(), "m").unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(response["output"].as_array().unwrap().clone());
    input.push(json!({"type": "function_call_output", "call_id": "toolu_1", "output": "1"}));
    let mut next = request();
    next["input"] = Value::from(input);
    let translation = translated(Wire::Responses, Format::Anthropic, &next);
    let body: Value =
        serde_json::from_slice(&translation.body("m", Dialect { reasons: true, ..Dialect::default() })).unwrap();
    assert_eq!(body["messages"][1]["content"], reply["content"]);
    assert_eq!(body["thinking"]["type"], "enabled");
}

#[test]
fn a_response_that_is_cut_short_or_refused_is_incomplete() {
    for (stop, reason) in [("max_tokens", "max_output_tokens"), ("refusal", "content_filter")] {
        let reply = json!({"content": [{"type": "text", "text": "So"}], "stop_reason": stop});
        let answer = translated(Wire::Responses, Format::Anthropic, &request());
        let response: Value =
            serde_json::from_slice(&answer.response(reply.to_string().as_bytes(), "m").unwrap()).unwrap();
        assert_eq!(
            (&response["status"], &response["output"][0]["status"]),
            (&json!("incomplete"), &json!("incomplete"))
        );
        assert_eq!(response["incomplete_details"]["reason"], reason);
    }
    let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "So"}, "finish_reason": "length"}]});
    let stream = stream_of(Format::Openai, &request(), &events(&[chunk]));
    assert_eq!(stream.last().unwrap()["type"], "response.incomplete");
}

#[test]
fn an_error_in_a_stream_fails_the_response_and_is_raised_by_clients() {
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}});
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let messages = events(&[start, error]);
    let chunk = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "ho"}}]});
    let chunks = events(&[chunk, json!({"error": {"message": "Overloaded"}})]);
    for (to, stream) in [(Format::Anthropic, messages), (Format::Openai, chunks)] {
        let events = stream_of(to, &request(), &stream);
        let [.., failed, error] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(failed["response"]["error"]["message"], "Overloaded");
        assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!("Overloaded")));
    }
}

#[test]
fn arguments_keep_their_bytes() {
    let arguments = r#"{"id": 123456789012345678901234567890, "x": 1.10, "e": "\u00e9"}"#;
    let message = format!(r#"{{"content":[{{"type":"tool_use","id":"t","name":"look","input":{arguments}}}]}}"#);
    let call = json!({"id": "t", "function": {"name": "look", "arguments": arguments}});
    let completion = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    for (to, body) in [(Format::Anthropic, message), (Format::Openai, completion.to_string())] {
        let answer = translated(Wire::Responses, to, &request()).response(body.as_bytes(), "m").unwrap();
        let response: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(response["output"][0]["arguments"], arguments);
    }
}
