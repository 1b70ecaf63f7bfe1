//! Static checks: formatting, lints, documentation, dependencies.

use anyhow::Result;

use crate::environment::Environment;
use crate::process;

/// Checks the formatting of every crate.
pub(crate) fn format() -> Result<()> {
    eprintln!("check: formatting");
    process::run(process::cargo().args(["fmt", "--all", "--", "--check"]), "checking the formatting")
}

/// Runs clippy; warnings are errors.
pub(crate) fn lint(environment: &Environment) -> Result<()> {
    eprintln!("check: lints");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.args(["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    process::run(&mut cargo, "checking the lints")
}

/// Builds the documentation; warnings are errors.
pub(crate) fn documentation(environment: &Environment) -> Result<()> {
    eprintln!("check: documentation");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo.args(["doc", "--quiet", "--workspace", "--no-deps", "--locked"]);
    process::run(&mut cargo, "building the documentation")
}

/// Checks licences, bans and sources of the dependencies. Advisories are not checked: their database is a git repository.
pub(crate) fn dependencies(environment: &Environment) -> Result<()> {
    eprintln!("check: dependencies");
    let mut deny = environment.deny()?;
    deny.args(["--locked", "--log-level", "error", "check", "licenses", "bans", "sources"]);
    process::run(&mut deny, "checking the dependencies")
}
