//! LiteLLM's proxy, as its package is, with the plugin and with the hook: `model: auto`, the official client, two users.

use personaroute_harness::upstream::{FakeUpstream, Recorded, Reply};
use serde_json::{Value, json};

use super::seen;

/// An upstream that answers with the name of the model it was asked for.
fn upstream() -> FakeUpstream {
    let script = |request: &Recorded, _| {
        let body = request.json();
        let model = body["model"].as_str().unwrap_or_default();
        if body["stream"] == true { Reply::chat_stream(&[model]) } else { Reply::chat(model) }
    };
    FakeUpstream::start(script).unwrap()
}

fn check(seen: &Value) {
    for way in ["whole", "streamed"] {
        let answers = json!({ "cost-first": "gpt-4o-mini", "quality-first": "gpt-4o" });
        assert_eq!(seen[way], answers, "{seen}");
    }
    let headers = json!({ "cost-first": ["GPT-4o-mini", "known"], "quality-first": ["GPT-4o", "known"] });
    assert_eq!(seen["headers"], headers);
}

#[test]
fn the_routing_plugin_decides_in_a_running_proxy() {
    let upstream = upstream();
    check(&seen(include_str!("litellm.py"), &["plugin".to_owned(), upstream.base_url()]));
    let large = |request: &Recorded| request.json()["model"] == "gpt-4o";
    let users: Vec<Value> = upstream.requests().iter().filter(|r| large(r)).map(|r| r.json()["user"].clone()).collect();
    assert!(users.contains(&json!("quality-first")), "the user is kept: {users:?}");
}

#[test]
fn the_pre_call_hook_decides_in_a_running_proxy() {
    let upstream = upstream();
    check(&seen(include_str!("litellm.py"), &["hook".to_owned(), upstream.base_url()]));
}
