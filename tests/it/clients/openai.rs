//! The OpenAI client: models, a reply, streams (blocking and asynchronous), a direct model, errors.

use personaroute_harness::gateway::Gateway;
use personaroute_harness::python;
use personaroute_harness::upstream::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::configuration;

#[test]
fn the_openai_client_works_unchanged() {
    let upstream = FakeUpstream::start(|request, _| match request.json().get("stream") {
        Some(Value::Bool(true)) => Reply::chat_stream(&["Twenty", "-", "five."]),
        _ => Reply::chat("Twenty-five."),
    })
    .unwrap();
    let gateway = Gateway::start(&configuration("openai", &upstream)).unwrap();
    let arguments = [gateway.base_url(), "GPT-4o-mini".to_owned()];
    let seen: Value =
        serde_json::from_str(&python::run(include_str!("openai_client.py"), &arguments).unwrap()).unwrap();

    assert_eq!(seen["content"], "Twenty-five.");
    assert_eq!(seen["tokens"], 12);
    assert_eq!(seen["unknown"], json!({ "kept": true }));
    assert_eq!(seen["pieces"], json!(["Twenty", "-", "five."]));
    assert_eq!(seen["async_pieces"], seen["pieces"]);
    assert_eq!(seen["direct"], "Twenty-five.");
    assert_eq!(seen["not_found"]["status"], 404);
    assert_eq!(seen["no_messages"], json!({ "status": 400, "param": "messages" }));
    let chosen = seen["chosen"].as_str().unwrap();
    assert!(["GPT-4o", "GPT-4o-mini"].contains(&chosen), "{chosen}");
    assert!(!seen["decision"].as_str().unwrap().is_empty());
    let models = seen["models"].as_array().unwrap();
    assert!(["auto", "GPT-4o", "GPT-4o-mini"].iter().all(|name| models.contains(&json!(name))), "{models:?}");

    // The refused requests never reached the upstream; the others did once each, under the upstream's names.
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4);
    let names: Vec<Value> = requests.iter().map(|request| request.json()["model"].clone()).collect();
    assert!(names.iter().all(|name| *name == "the-large-one" || *name == "the-small-one"), "{names:?}");
    assert_eq!(names[3], "the-small-one");
    assert_eq!(requests[0].header("authorization"), "Bearer test-fake_api_key");
    assert!(
        requests[0].body.windows(17).any(|part| part == br#""kept":[1,2.5,nul"# || part == br#""kept": [1, 2.5, "#)
    );
}
