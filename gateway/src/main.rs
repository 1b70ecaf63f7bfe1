//! The program `personaroute`.

use std::process::ExitCode;

fn main() -> ExitCode {
    personaroute_gateway::command::main()
}
