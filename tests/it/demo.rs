//! What the demo promises: with its own configuration, two users get different LLMs for the same question.

use std::collections::BTreeSet;

use personaroute_harness::gateway::Gateway;
use personaroute_harness::{document, path, wire};
use serde_json::{Value, json};

/// The demo's configuration, on a port that the system chooses.
fn demo() -> Gateway {
    let text = std::fs::read_to_string(path::root().join("configs/demo.yaml")).unwrap();
    let anywhere = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0");
    Gateway::start(&anywhere.replace("chunk_delay: 15ms", "chunk_delay: 0ms")).unwrap()
}

/// The questions of the README's first block of text.
fn questions() -> Vec<String> {
    let blocks = document::blocks().unwrap();
    let block = blocks.iter().find(|block| block.place.starts_with("README.md") && block.language == "text").unwrap();
    block.text.lines().map(str::to_owned).collect()
}

fn chat(user: &str, question: &str) -> Value {
    json!({ "model": "auto", "user": user, "messages": [{ "role": "user", "content": question }] })
}

#[tokio::test]
async fn the_same_question_goes_to_different_llms_for_different_users() {
    let gateway = demo();
    let mut different = 0;
    let questions = questions();
    assert_eq!(questions.len(), 3);
    for question in &questions {
        let mut chosen = BTreeSet::new();
        for user in ["cost-first", "quality-first"] {
            let answer =
                wire::post(gateway.address(), "/v1/chat/completions", &[], &chat(user, question)).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("x-personaroute-user-state"), "known");
            let model = answer.header("x-personaroute-model").to_owned();
            let text = answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
            assert!(text.contains("simulated") && text.contains(&model), "{text}");
            chosen.insert(model);
        }
        different += usize::from(chosen.len() == 2);
    }
    assert!(different >= 1, "no question was routed differently");
}

#[tokio::test]
async fn the_demo_streams_and_ends_with_done() {
    let gateway = demo();
    let mut body = chat("quality-first", &questions()[0]);
    body["stream"] = json!(true);
    let answer = wire::post(gateway.address(), "/v1/chat/completions", &[], &body).await.unwrap();
    assert_eq!(answer.header("content-type").split(';').next(), Some("text/event-stream"));
    let text = answer.text();
    assert!(text.matches("data: ").count() > 3, "{text}");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
}

#[tokio::test]
async fn health_is_told_on_both_listeners() {
    let gateway = demo();
    for address in [gateway.address(), gateway.admin().unwrap()] {
        assert_eq!(wire::get(address, "/healthz").await.unwrap().status, 200);
        assert_eq!(wire::get(address, "/readyz").await.unwrap().status, 200);
    }
}
