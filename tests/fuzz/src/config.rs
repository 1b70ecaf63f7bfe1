//! Configurations: refused with the file's name or taken; one that is taken can be shown, and says the same again.

use std::path::Path;

use personaroute_gateway::config::{self, raw::HIDDEN};

/// What every reference resolves to; it must never be shown.
const SECRET: &str = "sk-of-nobody";

/// Holds the configuration's reader to `input`.
pub fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // Names a file to read, which is not for a fuzzer to choose.
    if text.contains("keys_file") || text.contains('\\') {
        return;
    }
    let env = |name: &str| (!name.starts_with("OTEL_")).then(|| SECRET.to_owned());
    let read = |text: &str| config::parse(Path::new("fuzz.yaml"), text, &env);
    let loaded = match read(text) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(error.to_string().contains("fuzz.yaml"), "an error without its file: {error}");
            return;
        }
    };
    let effective = loaded.effective();
    assert!(!effective.contains(SECRET) || text.contains(SECRET), "a secret is shown");
    // The value of a header is not written back, so that such a configuration cannot be read again.
    if effective.contains(HIDDEN) {
        return;
    }
    match read(&effective) {
        Ok(again) => assert_eq!(again.effective(), effective, "what is in effect is shown differently"),
        Err(error) => unreachable!("what is in effect is refused: {error}\n{effective}"),
    }
}
