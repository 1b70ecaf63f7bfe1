//! Runs every test of the workspace, and reports how many passed, failed and were skipped.
//!
//! cargo-nextest runs the tests, each in a process of its own with a time limit (`.config/nextest.toml`), so that a test that
//! hangs fails with its name. It does not run the examples in the documentation: cargo does, within a limit for all of them.

mod counts;
mod skips;

use std::time::{Duration, Instant};

use anyhow::Result;

use self::counts::Counts;
use self::skips::Skips;
use crate::environment::Environment;
use crate::{check, plugin, process, setup, tidy};

/// Time limit of all examples in the documentation, which compile and run in about a minute.
const EXAMPLES_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Time limit of all tests; each has a much shorter one.
const TESTS_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Runs set-up, the fast checks, the build, and the tests; a failure before the tests ends the run.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    check::format()?;
    tidy::run()?;
    let environment = setup::ensure(setup::ALL)?;
    let built = plugin::build_all()?;
    check::lint(&environment)?;
    build(&environment)?;
    let skips = Skips::start()?;
    let mut counts = tests(&environment, &built, &skips)?;
    counts.add(&examples(&environment, &built)?);
    let minutes = started.elapsed().as_secs().div_ceil(60);
    eprintln!("test: took {minutes} minutes in total");
    counts.report(&skips.read()?)
}

/// Builds the binaries together with the tests, with one set of features, so that each crate is compiled once.
fn build(environment: &Environment) -> Result<()> {
    eprintln!("test: building");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.args(["build", "--quiet", "--workspace", "--lib", "--bins", "--examples", "--tests", "--locked"]);
    process::run(&mut cargo, "building the tests")
}

fn tests(environment: &Environment, built: &plugin::Built, skips: &Skips) -> Result<Counts> {
    let mut nextest = environment.nextest()?;
    built.give(&mut nextest);
    nextest.env(skips::VARIABLE, skips.file());
    nextest.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--cargo-quiet"]);
    nextest.args(["--status-level", "slow", "--final-status-level", "slow", "--show-progress", "none"]);
    let mut counts = Counts::default();
    let status = process::lines(&mut nextest, "running the tests", TESTS_LIMIT, |line| counts.add_tests(line))?;
    counts.note_end(status.success());
    Ok(counts)
}

fn examples(environment: &Environment, built: &plugin::Built) -> Result<Counts> {
    eprintln!("test: the examples in the documentation");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    built.give(&mut cargo);
    cargo.args(["test", "--quiet", "--workspace", "--doc", "--no-fail-fast", "--locked"]);
    let mut counts = Counts::default();
    let status = process::lines(&mut cargo, "running the examples", EXAMPLES_LIMIT, |line| counts.add_examples(line))?;
    counts.note_end(status.success());
    Ok(counts)
}
