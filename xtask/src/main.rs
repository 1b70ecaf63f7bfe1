//! The workspace's tasks: set-up, demo, tests and checks, in plain Rust.

mod environment;
mod plugin;
mod process;
mod setup;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask <task>

  setup [--verify]   fetch ONNX Runtime, the encoder, libtorch and the tests' Python packages into the cache
  plugin             build the routing plugin and the test guests as WASM components
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["setup"] => run_setup(),
        ["setup", "--verify"] => run_setup().and_then(|()| setup::verify()),
        ["plugin"] => plugin::build_all().map(|_| ()),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Sets up everything and shows the variables that hand-run cargo commands need.
fn run_setup() -> Result<()> {
    setup::guest::GuestToolchain::ensure()?;
    let environment = setup::ensure(setup::ALL)?;
    eprintln!("setup: everything is here; for cargo commands by hand:");
    for (name, value) in environment.variables()? {
        eprintln!("  export {name}={}", value.display());
    }
    Ok(())
}
