//! The commands, and the one place where an error becomes an exit code.

pub mod add_llm;
pub mod download;
pub mod evaluate;
pub mod experiment;
pub mod export;
pub mod progress;
pub mod protocol;
pub mod run;
pub mod simulate;
pub mod train;
pub mod vote;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::{Cli, Command};
use crate::config::ConfigError;

/// Exit code of a bad configuration.
const BAD_CONFIGURATION: u8 = 64;

/// Runs one command; the exit code is 0, 1 (failed) or 64 (bad configuration).
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::from(code(&error))
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Export(args) => export::run(args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Protocol(args) => protocol::run(&args),
        Command::Download(args) => download::run(&args),
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<ConfigError>()) { BAD_CONFIGURATION } else { 1 }
}

/// Writes a line to stdout.
fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("write to stdout")
}

/// Writes a line to stderr; what cannot be written there is lost.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests;
