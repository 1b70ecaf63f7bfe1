//! The configuration's schema: what is committed is what the program prints, and it agrees with what the program accepts.

use std::path::Path;

use personaroute_gateway::config::{self, schema};
use personaroute_harness::{document, path, schema::problems};
use serde_json::Value;

const FILE: &str = "configs/gateway.schema.json";

fn committed() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path::root().join(FILE)).unwrap()).unwrap()
}

/// The serving configurations of `configs` and of the documentation, with their place.
fn configurations() -> Vec<(String, String)> {
    let files = path::configurations().into_iter();
    let mut found: Vec<(String, String)> =
        files.map(|file| (file.display().to_string(), std::fs::read_to_string(&file).unwrap())).collect();
    found.extend(document::blocks().unwrap().into_iter().map(|block| (block.place, block.text)));
    found.retain(|(_, text)| text.lines().any(|line| line == "version: 1"));
    found
}

#[test]
fn the_committed_schema_is_the_one_the_program_prints() {
    let text = std::fs::read_to_string(path::root().join(FILE)).unwrap();
    assert!(text.trim_end() == schema::text(), "run `cargo xtask codegen`: {FILE}");
}

#[test]
fn every_serving_configuration_is_valid_by_the_schema() {
    let schema = committed();
    let configurations = configurations();
    assert!(configurations.len() >= 3, "{configurations:?}");
    for (place, text) in configurations {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(problems(&schema, &value).unwrap(), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn every_file_in_configs_names_its_schema() {
    for file in path::configurations() {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_serving = text.lines().any(|line| line == "version: 1");
        let names_it = text.lines().any(|line| line == "# yaml-language-server: $schema=gateway.schema.json");
        assert_eq!(is_serving, names_it, "{}", file.display());
    }
}

#[test]
fn what_the_schema_refuses_the_program_refuses() {
    let good = "version: 1\nupstreams: [{name: u, kind: simulated}]\nmodels: [{llm: a, upstream: u}]\n";
    let schema = committed();
    let wrongs = [
        "listne: x",
        "limits: {body: 10MB}",
        "timeouts: {idle: 30}",
        "timeouts: {idle: 30 parsecs}",
        "router: {provider: gpu}",
        "auth: {mode: key}",
        "log: {format: xml}",
        "virtual_models: [{name: v, preference: 1.5}]",
        "virtual_models: [{preference: 0.5}]",
        "auth: {mode: keys, keys: [{name: k, sha256: abc}]}",
        "auth: {per_user_limits: {budget: {week: 1}}}",
        "retry: {statuses: [many]}",
    ];
    let judge = |text: &str| {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let is_valid = problems(&schema, &value).unwrap().is_empty();
        (is_valid, config::parse(Path::new("f.yaml"), text, &|_| None).is_ok())
    };
    assert_eq!(judge(good), (true, true));
    for wrong in wrongs {
        assert_eq!(judge(&format!("{good}{wrong}\n")), (false, false), "{wrong}");
    }
}
