//! The fuzzers' corpora: inputs worth keeping, those that once broke something among them.

use personaroute_harness::path;

/// Holds `target` to every input of its corpus.
fn hold(name: &str, target: fn(&[u8])) {
    let folder = path::root().join("tests/fuzz/corpus").join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn event_streams_hold() {
    hold("sse", personaroute_fuzz::sse::hold);
}

#[test]
fn bodies_hold() {
    hold("body", personaroute_fuzz::body::hold);
}

#[test]
fn translations_hold() {
    hold("translate", personaroute_fuzz::translate::hold);
}

#[test]
fn configurations_hold() {
    hold("config", personaroute_fuzz::config::hold);
}
