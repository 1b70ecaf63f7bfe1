//! The `personaroute-train` command: reads arguments, runs one command, returns its exit code.

use std::process::ExitCode;

use clap::Parser;
use personaroute_training::{cli::Cli, command};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => command::run(cli),
        Err(error) => {
            // Help and version are no failures; clap knows which stream each belongs to.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
        }
    }
}
