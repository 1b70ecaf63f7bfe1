//! Fuzzing with libFuzzer on the stable compiler.
//!
//! The compiler's coverage instrumentation needs no nightly feature. The sanitizers do, but the fuzzed code is safe Rust, where
//! assertions find more than sanitizers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::Toolchain;
use crate::{process, setup, workspace};

/// The targets; each has a binary and a corpus of its name.
pub(crate) const TARGETS: [&str; 4] = ["sse", "body", "translate", "config"];

/// Time limit of one input; a slower one is a finding.
const SECONDS_PER_INPUT: u32 = 10;

/// Maximum length of an input: the seeds are shorter, and longer ones only run slower.
const BYTES_PER_INPUT: u32 = 8_192;

/// Compiler flags for libFuzzer, as `cargo fuzz` sets them.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Fuzzes `target` for `minutes`; fails with the path of an input that breaks it.
pub(crate) fn run(target: &str, minutes: &str) -> Result<()> {
    if !TARGETS.contains(&target) {
        bail!("there is no fuzz target `{target}`: {}", TARGETS.join(", "));
    }
    let minutes: u32 = minutes.parse().with_context(|| format!("`{minutes}` is no number of minutes"))?;
    let binary = build(target)?;
    let folder = workspace::target()?.join("fuzzing").join(target);
    let (corpus, findings) = (folder.join("corpus"), folder.join("findings"));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    eprintln!("fuzz: {target} for {minutes} min; the corpus is kept in {}", corpus.display());
    let mut fuzzer = std::process::Command::new(binary);
    fuzzer.arg(&corpus).arg(workspace::root().join("tests/fuzz/corpus").join(target));
    fuzzer.arg(format!("-max_total_time={}", u64::from(minutes) * 60));
    fuzzer.args([format!("-timeout={SECONDS_PER_INPUT}"), format!("-max_len={BYTES_PER_INPUT}")]);
    fuzzer.arg(format!("-artifact_prefix={}/", findings.display()));
    fuzzer.arg("-print_final_stats=1");
    process::run(&mut fuzzer, "fuzzing").with_context(|| {
        format!("the input is in {}; once it is mended, keep it in tests/fuzz/corpus/{target}", findings.display())
    })
}

/// Builds the target and its dependencies with instrumentation, and returns the binary.
fn build(target: &str) -> Result<PathBuf> {
    setup::compiler("libFuzzer is compiled with a C++ compiler")?;
    let host = Toolchain::find()?.host;
    eprintln!("fuzz: building {target}, which takes minutes the first time");
    let mut cargo = process::cargo();
    cargo.env("RUSTFLAGS", INSTRUMENTATION.join(" ")).env("CARGO_TARGET_DIR", workspace::target()?);
    cargo.args(["build", "--package", "personaroute-fuzz", "--features", "libfuzzer", "--profile", "fuzz", "--locked"]);
    // Naming the target keeps the instrumentation away from build scripts.
    cargo.args(["--target", &host, "--bin", &binary_name(target)]);
    process::run(&mut cargo, "building the fuzz target")?;
    Ok(workspace::target()?.join(Path::new(&host)).join("fuzz").join(binary_name(target)))
}

fn binary_name(target: &str) -> String {
    format!("fuzz-{target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_binary_and_a_corpus() {
        let folder = workspace::root().join("tests/fuzz");
        for target in TARGETS {
            assert!(folder.join(format!("targets/{target}.rs")).is_file(), "{target}");
            assert!(folder.join("corpus").join(target).read_dir().unwrap().count() > 0, "{target}");
        }
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_known_ones() {
        let error = run("wasm", "1").unwrap_err().to_string();
        assert!(error.contains("sse, body, translate, config"), "{error}");
    }
}
