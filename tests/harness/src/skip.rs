//! Records that a test cannot run on this machine, so that `cargo xtask test` counts it as skipped.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

/// The file that the runner reads; without it the reason is printed only.
const VARIABLE: &str = "PERSONAROUTE_SKIPPED_TESTS";

/// Records the running test as skipped, with the reason. The test then returns.
///
/// # Panics
///
/// Panics when the runner's file cannot be written: a skipped test must not count as passed.
pub fn record(reason: &str) {
    let test = running_test();
    eprintln!("skipped {test}: {reason}");
    let Some(file) = env::var_os(VARIABLE) else { return };
    let line = format!("{test}\t{}\n", reason.replace(['\t', '\n'], " "));
    // One write of one short line: tests of other processes append to the same file.
    let written = OpenOptions::new().append(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(written.is_ok(), "{VARIABLE}: {written:?}");
}

/// The test's name: that of cargo-nextest, else that of the thread, which cargo's own runner names.
fn running_test() -> String {
    let named = |variable| env::var(variable).ok();
    match (named("NEXTEST_BINARY_ID"), named("NEXTEST_TEST_NAME")) {
        (Some(binary), Some(test)) => format!("{binary} {test}"),
        _ => thread::current().name().unwrap_or("a test").to_owned(),
    }
}
