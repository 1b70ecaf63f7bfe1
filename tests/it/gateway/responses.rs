//! `/v1/responses` over every kind of upstream, and requests that refer to earlier responses.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Recorded, Reply},
    wire::{self, Answer},
};
use serde_json::{Value, json};

use super::test_gateway::{ByPrice, TestGateway, two};

const PATH: &str = "/v1/responses";
const DEAR: (&str, &str) = ("x-personaroute-candidates", "premium");

/// A response as OpenAI writes it, with the number of the request in its ids.
fn native(number: usize) -> Reply {
    let message = json!({"id": format!("msg_{number}"), "type": "message", "role": "assistant", "status": "completed",
                         "content": [{"type": "output_text", "text": "ho", "annotations": []}]});
    let thought = json!({"id": format!("rs_{number}"), "type": "reasoning", "summary": [],
                         "encrypted_content": format!("gAAA{number}")});
    Reply::json(
        200,
        &json!({"id": format!("resp_{number}"), "object": "response", "status": "completed",
                "output": [thought, message], "usage": {"input_tokens": 3, "output_tokens": 2}}),
    )
}

fn anthropic(request: &Recorded) -> Reply {
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    if request.json()["stream"] != json!(true) {
        let text = json!({"type": "text", "text": "ho"});
        let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}});
        return Reply::json(
            200,
            &json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use",
                    "content": [text, call], "usage": usage}),
        );
    }
    let text = json!({"type": "text_delta", "text": "ho"});
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": text}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    Reply::events(events.iter().map(Frame::event).collect())
}

fn over_anthropic(upstream: &FakeUpstream) -> Result<TestGateway> {
    TestGateway::start(&two(upstream, upstream, "").replace("kind: openai", "kind: anthropic"), ByPrice)
}

async fn ask(gateway: &TestGateway, headers: &[(&str, &str)], more: Value) -> Result<Answer> {
    let mut body = json!({"model": "auto", "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wire::post(gateway.address, PATH, headers, &body).await
}

fn model(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-personaroute-model"))
}

fn refused(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["error"]["param"].clone())
}

#[tokio::test]
async fn an_anthropic_upstream_answers_in_translation() -> Result<()> {
    let upstream = FakeUpstream::start(|request, _| anthropic(request))?;
    let gateway = over_anthropic(&upstream)?;
    let whole = ask(&gateway, &[], json!({"instructions": "Be brief."})).await?;
    let response = whole.json();
    assert_eq!((whole.status, &response["status"]), (200, &json!("completed")), "{}", whole.text());
    assert_eq!(response["output"][0]["content"][0]["text"], "ho");
    assert_eq!(response["output"][1]["arguments"], "{\"at\":1}");
    assert_eq!(response["usage"]["total_tokens"], 5);
    let request = &upstream.requests()[0];
    assert_eq!((request.path.as_str(), &request.json()["system"][0]["text"]), ("/v1/messages", &json!("Be brief.")));
    let text = ask(&gateway, &[], json!({"stream": true})).await?.text();
    assert!(text.contains("response.output_text.delta") && text.contains("\"type\":\"response.completed\""), "{text}");
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    assert!(metrics.contains("personaroute_tokens_total{model=\"cheap\",kind=\"output\"} 4"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn the_simulated_upstream_and_one_with_chats_alone_answer_in_translation() -> Result<()> {
    let chats = FakeUpstream::start(|request, _| match request.json()["stream"] == json!(true) {
        true => Reply::chat_stream(&["h", "o"]),
        false => Reply::chat("ho"),
    })?;
    let configuration = two(&chats, &chats, "")
        .replacen("kind: openai,", "kind: openai, responses: chat,", 1)
        .replace(&format!("kind: openai, base_url: '{}'}}", chats.base_url()), "kind: simulated}");
    let gateway = TestGateway::start(&configuration, ByPrice)?;
    for headers in [&[][..], &[DEAR]] {
        let whole = ask(&gateway, headers, json!({})).await?;
        let text = whole.json()["output"][0]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        assert!(whole.status == 200 && !text.is_empty(), "{}", whole.text());
        let streamed = ask(&gateway, headers, json!({"stream": true})).await?.text();
        assert!(streamed.contains("\"type\":\"response.completed\""), "{streamed}");
    }
    assert_eq!(chats.requests()[0].path, "/v1/chat/completions");
    Ok(())
}

#[tokio::test]
async fn a_request_goes_to_the_endpoint_that_made_what_it_refers_to() -> Result<()> {
    let [cheap, premium] = [0, 100].map(|first| FakeUpstream::start(move |_, before| native(first + before)));
    let (cheap, premium) = (cheap?, premium?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    assert_eq!(model(&ask(&gateway, &[DEAR], json!({})).await?), (200, "premium"));
    let said = json!({"role": "user", "content": "hi"});
    for reference in [
        json!({"previous_response_id": "resp_100"}),
        json!({"input": [said, {"type": "reasoning", "id": "rs_100", "summary": [], "encrypted_content": "gAAA100"}]}),
        json!({"input": [said, {"type": "item_reference", "id": "msg_100"}]}),
    ] {
        let answer = ask(&gateway, &[], reference.clone()).await?;
        assert_eq!(model(&answer), (200, "premium"), "{reference}: {}", answer.text());
    }
    assert_eq!(model(&ask(&gateway, &[], json!({})).await?), (200, "cheap"));
    let elsewhere =
        ask(&gateway, &[("x-personaroute-candidates", "cheap")], json!({"previous_response_id": "resp_100"}));
    assert_eq!(refused(&elsewhere.await?), (400, json!("previous_response_id")));
    let concrete = ask(&gateway, &[], json!({"model": "cheap", "previous_response_id": "resp_100"}));
    assert_eq!(refused(&concrete.await?), (400, json!("previous_response_id")));
    Ok(())
}

#[tokio::test]
async fn what_nobody_is_known_to_have_made_is_refused_with_its_field() -> Result<()> {
    let upstream = FakeUpstream::start(|_, before| native(before))?;
    let gateway = TestGateway::between(&upstream, &upstream, "")?;
    let said = json!({"role": "user", "content": "hi"});
    for (reference, param) in [
        (json!({"previous_response_id": "resp_x"}), "previous_response_id"),
        (json!({"conversation": {"id": "conv_x"}}), "conversation"),
        (json!({"input": [said, {"type": "item_reference", "id": "msg_x"}]}), "input[1].id"),
        (json!({"input": [said, {"type": "reasoning", "encrypted_content": "gAAA"}]}), "input[1].encrypted_content"),
    ] {
        assert_eq!(refused(&ask(&gateway, &[], reference).await?), (400, json!(param)));
    }
    assert_eq!(upstream.count(), 0);
    // Only one upstream may have made it, which knows best.
    let concrete = ask(&gateway, &[], json!({"model": "cheap", "previous_response_id": "resp_x"})).await?;
    assert_eq!(concrete.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_translated_response_can_be_continued() -> Result<()> {
    let upstream = FakeUpstream::start(|request, _| anthropic(request))?;
    let gateway = over_anthropic(&upstream)?;
    let first = ask(&gateway, &[DEAR], json!({"input": "look there"})).await?.json();
    let output = json!({"type": "function_call_output", "call_id": "toolu_1", "output": "a cat"});
    let by_response = json!({"previous_response_id": first["id"], "input": [output]});
    let reference = |idx: usize| json!({"type": "item_reference", "id": first["output"][idx]["id"]});
    let by_items = json!({"input": [{"role": "user", "content": "look there"}, reference(0), reference(1), output]});
    for continued in [by_response, by_items] {
        let answer = ask(&gateway, &[], continued).await?;
        assert_eq!(model(&answer), (200, "premium"), "{}", answer.text());
        let turns = upstream.requests().pop().unwrap().json()["messages"].clone();
        assert_eq!(turns[0]["content"][0]["text"], "look there");
        assert_eq!(turns[1]["content"][1]["id"], "toolu_1");
        assert_eq!(turns[2]["content"][0]["content"][0]["text"], "a cat");
    }
    let unstored = ask(&gateway, &[DEAR], json!({"store": false})).await?.json();
    let continued = ask(&gateway, &[], json!({"previous_response_id": unstored["id"]})).await?;
    assert_eq!(refused(&continued), (400, json!("previous_response_id")));
    Ok(())
}

#[tokio::test]
async fn what_a_translated_upstream_cannot_do_is_refused_with_its_field() -> Result<()> {
    let upstream = FakeUpstream::start(|request, _| anthropic(request))?;
    let gateway = over_anthropic(&upstream)?;
    for (more, param) in [
        (json!({"background": true}), "background"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0]"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
    ] {
        assert_eq!(refused(&ask(&gateway, &[], more).await?), (400, json!(param)));
    }
    let cut = FakeUpstream::always(Reply::events(vec![
        Frame::event(&json!({"type": "message_start", "message": {"id": "m", "model": "c"}})),
        Frame::event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "h"}})),
        Frame::Cut,
    ]))?;
    let gateway = over_anthropic(&cut)?;
    let request =
        wire::json_request(gateway.address, PATH, &[], &json!({"model": "auto", "input": "hi", "stream": true}))?;
    let mut stream = wire::open(gateway.address, request).await?;
    let mut text = String::new();
    while let Ok(Some(piece)) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.contains("event: error") && !text.contains("response.completed"), "{text}");
    Ok(())
}
