//! `personaroute check`: what the gateway would not start with, or would not route with, is refused before it serves.

use std::path::Path;

use personaroute_gateway::{app, config};
use personaroute_harness::path;

fn environment(name: &str) -> Option<String> {
    (name == "PERSONAROUTE_BUNDLE").then(|| path::default_bundle().display().to_string())
}

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
    let loaded = config::parse(Path::new("f.yaml"), &text, &environment).unwrap();
    app::check(&loaded, &environment).err().map(|error| error.to_string())
}

#[test]
fn what_would_not_route_is_refused() {
    assert_eq!(refusal("", ""), None);
    let task = refusal("", ", task: nonsense").unwrap();
    assert!(task.starts_with("f.yaml:4:25: task `nonsense` is not defined; defined are: "), "{task}");
    for (more, key) in [("plugin: {wasm: gone.wasm}", "plugin.wasm"), ("onnxruntime: gone.so", "onnxruntime")] {
        let missing = refusal(more, "").unwrap();
        assert!(missing.starts_with(&format!("no `{key}` found; looked at: gone.")), "{missing}");
    }
}
