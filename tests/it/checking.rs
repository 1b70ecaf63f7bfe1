//! `personaroute check`: what the gateway would not start with, or would not route with, is refused before it serves.

use std::path::Path;

use personaroute_gateway::{app, config};
use personaroute_harness::path;

/// Returns the refusal of a configuration with `more` keys and a virtual model that has `policy`.
fn refusal(more: &str, policy: &str) -> Option<String> {
    let text = format!(
        "version: 1
upstreams: [{{name: a, kind: simulated}}]
models: [{{llm: GPT-4o, upstream: a}}]
virtual_models: [{{name: auto{policy}}}]
{more}
"
    );
    let loaded = config::parse(Path::new("f.yaml"), &text, &|_| None).unwrap();
    app::check(&path::with_assets(loaded)).err().map(|error| error.to_string())
}

#[test]
fn what_would_not_route_is_refused() {
    assert_eq!(refusal("", ""), None);
    let task = refusal("", ", task: nonsense").unwrap();
    assert!(task.starts_with("f.yaml:4:37: task `nonsense` is not defined; defined are: "), "{task}");
    for (key, name, more) in [
        ("plugin.wasm", "gone.wasm", "plugin: {wasm: gone.wasm}"),
        ("onnxruntime", "gone.so", "onnxruntime: gone.so"),
        ("bundle", "gone", "bundle: gone"),
    ] {
        let missing = refusal(more, "").unwrap();
        assert_eq!(missing, format!("`{key}` {name} does not exist"));
    }
}
