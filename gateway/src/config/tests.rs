//! Tests of whole files: what is refused, and at which position.

use std::path::Path;

use super::*;

const GOOD: &str = "\
version: 1
upstreams:
- {name: up, kind: openai, base_url: 'http://127.0.0.1:1/v1', api_key: '${KEY}'}
models:
- {llm: a, upstream: up, name: a-1, input_price: 1, output_price: 2}
- {llm: b, upstream: up, input_price: 1, output_price: 2}
virtual_models:
- name: auto
  candidates: [b, a]
  fallback: [a]
";

fn read(text: &str) -> Result<Loaded, String> {
    let env = |name: &str| (name == "KEY").then(|| "secret-value".to_owned());
    parse(Path::new("f.yaml"), text, &env).map_err(|error| error.to_string())
}

fn refusal(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    read(&GOOD.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn a_good_file_means_what_it_says() {
    let config = read(GOOD).unwrap().config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.models[0].name, "a-1");
    assert_eq!(config.models[1].name, "b", "the id is the default name");
    let policy = &config.virtual_models[0].policy;
    assert_eq!(policy.candidates.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["b", "a"]);
    assert_eq!(config.upstreams["up"].api_key.as_ref().map(Secret::expose), Some("secret-value"));
}

/// What is replaced in [`GOOD`], the replacement, and the error.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("version: 1", "version: 2", "f.yaml:1:10: version 2 is not supported, expected version 1"),
    ("upstream: up, name", "upstream: down, name", "f.yaml:5:22: upstream `down` is not defined; defined are: up"),
    ("[b, a]", "[b, c]", "f.yaml:9:19: candidate `c` is not defined; defined are: a, b"),
    ("[b, a]", "[b, b]", "f.yaml:9:19: candidate `b` is defined twice"),
    ("[b, a]", "[]", "f.yaml:9:15: `candidates` needs at least one entry"),
    ("[a]", "[c]", "f.yaml:10:14: fallback `c` is not defined; defined are: b, a"),
    ("name: auto", "name: b", "f.yaml:8:9: virtual model `b` has the name of a model"),
    ("'${KEY}'", "sk-123", "f.yaml:3:72: `api_key` must be a reference such as ${MY_KEY}"),
    ("'${KEY}'", "'${GONE}'", "f.yaml:3:72: `api_key` refers to the environment variable GONE, which is not set"),
    ("'http://127.0.0.1:1/v1'", "ftp://x", "f.yaml:3:38: `base_url` must be an http or https URL"),
    ("base_url: 'http://127.0.0.1:1/v1', ", "", "f.yaml:3:10: upstream `up` of kind openai needs `base_url`"),
    ("  fallback: [a]", "  preference: 1.5", "f.yaml:10:15: `preference` must be from 0 to 1, found `1.5`"),
    ("input_price: 1", "input_price: -1", "f.yaml:5:50: `input_price` must be at least 0, found `-1`"),
    ("version: 1\n", "version: 1\nlimits: {body: 0}\n", "f.yaml:2:16: `limits.body` must be at least 1, found `0`"),
    ("version: 1\n", "version: 1\ntimeouts: {idle: 0s}\n", "f.yaml:2:18: `timeouts.idle` must be longer than 0"),
    ("version: 1\n", "version: 1\nlimits: {head: 1}\n", "f.yaml:2:16: `limits.head` must be at least 8KiB"),
    ("version: 1\n", "version: 1\nretry: {budget: -1}\n", "f.yaml:2:17: `retry.budget` must be at least 0"),
    ("version: 1\n", "version: 1\nrouter:\n  queue: 0\n", "f.yaml:3:10: `router.queue` must be at least 1"),
    ("version: 1\n", "version: 1\nrouter: {memory: 1MiB}\n", "f.yaml:2:18: `router.memory` must be at least 2MiB"),
    ("version: 1\n", "version: 1\ntraces: {sample: 2}\n", "f.yaml:2:18: `traces.sample` must be from 0 to 1"),
    ("version: 1\n", "version: 1\nlog: {filter: 'a=b=c'}\n", "f.yaml:2:15: `log.filter` must be a level, or"),
    ("version: 1\n", "version: 1\nauth: {mode: keys}\n", "f.yaml:2:14: `auth.keys` needs at least one entry"),
    (
        "version: 1\n",
        "version: 1\nauth: {per_user_limits: {concurrency: 0}}\n",
        "f.yaml:2:39: `concurrency` must be at",
    ),
    ("version: 1\n", "version: 1\nauth: {mode: none, keys: [{name: k}]}\n", "f.yaml:2:14: `auth.mode` must be keys"),
    (
        "version: 1\n",
        "version: 1\ntls: {certificate: a, key: b, client_certificate: required}\n",
        "f.yaml:2:51: `tls.client_certificate` must not be given without",
    ),
    ("127.0.0.1:1/v1'", "ada:hunter2@127.0.0.1:1/v1'", "f.yaml:3:38: `base_url` must not contain a user or a password"),
    (
        "  fallback: [a]",
        "  constraints: {max_input_price: .nan}",
        "f.yaml:10:34: `constraints.max_input_price` must be",
    ),
    (
        "  fallback: [a]",
        "  constraints: {max_output_price: -1}",
        "f.yaml:10:35: `constraints.max_output_price` must be",
    ),
    ("version: 1\n", "version: 1\nadmin: 0.0.0.0:80\n", "f.yaml:2:8: `admin` must be a loopback address unless"),
    ("version: 1\n", "version: 1\nadmin_token: abc\n", "f.yaml:2:14: `admin_token` must be a reference"),
    (
        "version: 1\n",
        "version: 1\nlog: {users: plain, user_key: '${KEY}'}\n",
        "f.yaml:2:31: `log.user_key` must not be given with `log.users: plain`",
    ),
    (
        "version: 1\n",
        "version: 1\nlisten: 0.0.0.0:80\n",
        "f.yaml:2:9: with auth mode none `listen` must be a loopback address",
    ),
];

#[test]
fn every_refusal_names_file_line_column_and_expectation() {
    for (from, to, expected) in REFUSALS {
        let found = refusal(from, to);
        assert!(found.contains(expected), "{to}: expected {expected}\nfound {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn a_task_is_one_of_the_bundles() {
    let loaded = read(&GOOD.replacen("  fallback: [a]", "  task: math", 1)).unwrap();
    assert_eq!(loaded.config.check_tasks(["code", "math"].into_iter()), Ok(()));
    let rejection = loaded.config.check_tasks(["code", "prose"].into_iter()).unwrap_err();
    assert_eq!(rejection.to_string(), "10:9: task `math` is not defined; defined are: code, prose");
}

#[test]
fn the_parsers_refusals_point_at_the_place_as_well() {
    let refusals = [
        ("version: 1\n", "version: 1\nlistne: x\n", "f.yaml:2:1: ", "listne"),
        ("kind: openai", "kind: opneai", "f.yaml:3:", "opneai"),
        ("version: 1\n", "version: 1\ntimeouts: {idle: 30}\n", "f.yaml:2:", "invalid duration `30`"),
        ("version: 1\n", "version: 1\nlimits: {body: 10MB}\n", "f.yaml:2:", "invalid size `10MB`"),
        ("  candidates: [b, a]", "  candidates: [b, a", "f.yaml:", ""),
    ];
    for (from, to, place, what) in refusals {
        let found = refusal(from, to);
        assert!(found.contains(place) && found.contains(what), "{to}: {found}");
    }
}

#[test]
fn what_is_in_effect_is_shown_without_secrets_and_reads_back_the_same() {
    let effective = read(GOOD).unwrap().effective();
    assert!(effective.contains("${KEY}") && !effective.contains("secret-value"), "{effective}");
    assert!(effective.contains("drain: 30s") && effective.contains("body: 20MiB"), "{effective}");
    assert_eq!(read(&effective).unwrap().effective(), effective);
}

#[test]
fn a_headers_value_is_resolved_and_never_shown() {
    let headers = "kind: openai, headers: {x-team: search, x-key: '${KEY}', authorization: Bearer sk-1}";
    let loaded = read(&GOOD.replacen("kind: openai", headers, 1)).unwrap();
    let exposed: Vec<&str> = loaded.config.upstreams["up"].headers.values().map(Secret::expose).collect();
    assert_eq!(exposed, ["Bearer sk-1", "secret-value", "search"], "by name");
    let shown = format!("{}{:?}", loaded.effective(), loaded);
    assert!(!["sk-1", "search", "secret-value"].iter().any(|secret| shown.contains(secret)), "{shown}");
    assert!(loaded.effective().contains("${KEY}"), "a reference is no secret");
}

#[test]
fn a_hidden_header_is_not_taken_for_a_value() {
    let found = refusal("kind: openai", "kind: openai, headers: {x-team: (hidden)}");
    assert!(found.contains("f.yaml:3:46: the value of the header `x-team` was hidden"), "{found}");
}
