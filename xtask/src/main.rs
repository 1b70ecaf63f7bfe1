//! The workspace's tasks: set-up, demo, tests and checks, in plain Rust.

mod workspace;
mod process;
mod toolchain;
mod environment;
mod setup;
mod plugin;
mod bundle;
mod check;
mod tidy;
mod test;
mod demo;
mod install;
mod codegen;
mod bench;
mod fuzz;
mod wheel;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask <task>

  demo               serve the demo: two users, the same questions, different LLMs
  install [--prefix <dir>] [--static-bundle <dir>] [--without-training]
                     build the programs and install them, with all that they load, below a folder (~/.local unless said);
                     another bundle than the default one may be embedded
  setup [--verify]   fetch ONNX Runtime, the encoder, libtorch and the tests' Python packages into the cache, and
                     install what the tests need of Debian
  plugin             build the routing plugin and the test guests as WASM components
  test               set up everything, check formatting and lints, run every test; ends with the count
  ci                 all of `test`, then documentation and dependencies
  wheel              build the Python package, install it into a clean environment and ask it once
  codegen            write what is generated: the messages of ONNX and the schema of the configuration
  tidy               check the repository's own rules: sizes, layers, every part has a test
  bench micro        run the benches beside the code, archive the figures under docs/bench
  bench gateway [--binary <binary>] [--config <file>] [--against <binary> [--against-config <file>]] [--rounds <n>]
                     measure what the gateway adds to a request, archive the figures under docs/bench; beside another gateway,
                     whose configuration has placeholders such as {listen} and {upstream}
  bench training <outcomes>
                     measure what training costs at ten thousand to ten million interactions, simulated over the outcomes
                     of a folder; archive the figures under docs/bench
  fuzz <target> [--minutes <n>]
                     look for inputs that break the event streams (sse), the bodies (body), the configuration (config) or the
                     translation (translate); 10 minutes unless said otherwise
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["setup"] => run_setup(),
        ["setup", "--verify"] => run_setup().and_then(|()| setup::verify()),
        ["plugin"] => plugin::build_all().map(|_| ()),
        ["install", options @ ..] => install::Options::parse(options).and_then(|options| install::run(&options)),
        ["codegen"] => codegen::run(),
        ["test"] => test::run(),
        ["ci"] => run_ci(),
        ["demo"] => demo::run(),
        ["demo-examples", listen] => demo::examples(listen),
        ["bench", "micro"] => bench::micro(),
        ["bench", "gateway", options @ ..] => {
            bench::GatewayOptions::parse(options).and_then(|options| bench::gateway(&options))
        }
        ["bench", "training", outcomes] => bench::training(outcomes),
        ["wheel"] => wheel::run(),
        ["tidy"] => tidy::run(),
        ["fuzz", target] => fuzz::run(target, "10"),
        ["fuzz", target, "--minutes", minutes] => fuzz::run(target, minutes),
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

/// Everything that `test` does, and the checks that take long and seldom fail.
fn run_ci() -> Result<()> {
    test::run()?;
    check::documentation(&setup::ensure(setup::ALL)?)?;
    check::dependencies(&setup::ensure(&[setup::Need::Deny])?)
}
