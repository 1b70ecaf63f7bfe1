//! Runs every test of the workspace, and says how many there were.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::environment::Environment;
use crate::{check, plugin, process, setup, tidy};

/// Set-up, the cheap checks, the build, then the tests; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    check::format()?;
    tidy::run()?;
    let environment = setup::ensure(setup::ALL)?;
    let built = plugin::build_all()?;
    check::lint(&environment)?;
    build(&environment)?;
    let counts = tests(&environment, &built)?;
    let minutes = started.elapsed().as_secs().div_ceil(60);
    eprintln!("test: everything took {minutes} minutes");
    counts.report()
}

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u64,
    failed: u64,
    is_broken: bool,
}

impl Counts {
    /// Adds a line like `test result: ok. 3 passed; 0 failed; 0 ignored; …`; other lines change nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// Writes the count alone on a line, and fails when a test did.
    pub(crate) fn report(&self) -> Result<()> {
        use std::io::Write as _;
        writeln!(std::io::stdout().lock(), "{} passed, {} failed", self.passed, self.failed)?;
        self.verdict()
    }

    fn verdict(&self) -> Result<()> {
        if self.failed > 0 || self.is_broken {
            bail!("not every test passed");
        }
        Ok(())
    }
}

/// Builds the binaries together with the tests: one set of features, so that each crate is compiled once.
fn build(environment: &Environment) -> Result<()> {
    eprintln!("test: building");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--examples", "--tests", "--locked"]);
    process::run(&mut cargo, "building the tests")
}

fn tests(environment: &Environment, built: &plugin::Built) -> Result<Counts> {
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.env("PERSONAROUTE_PLUGIN", &built.plugin).env("PERSONAROUTE_TEST_GUESTS", &built.guests);
    cargo.args(["test", "--quiet", "--workspace", "--no-fail-fast", "--locked"]);
    count(&mut cargo)
}

/// Runs `cargo test`, shows what it says and counts.
fn count(cargo: &mut Command) -> Result<Counts> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("could not start `cargo test`")?;
    let output = child.stdout.take().context("cargo's output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("reading cargo's output")?;
        counts.add(&line);
        eprintln!("{line}");
    }
    counts.is_broken = !child.wait().context("waiting for `cargo test`")?.success();
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_binaries_and_ignore_other_lines() {
        let mut counts = Counts::default();
        counts.add("running 3 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts.add("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(counts, Counts { passed: 13, failed: 2, is_broken: false });
        assert!(counts.verdict().is_err());
    }
}
