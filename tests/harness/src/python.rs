//! Runs Python scripts in the environment of `cargo xtask test`, with the official clients and the ONNX checker.

use std::env;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a script with arguments and returns its output; the error of a failing script has its standard error.
///
/// # Errors
///
/// Fails when the environment is missing, or when the script fails.
pub fn run<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Result<String> {
    run_with(script, arguments, &[])
}

/// Runs a script as [`run`] does, with further variables in its environment.
///
/// # Errors
///
/// Fails as [`run`] does.
pub fn run_with<S: AsRef<OsStr>>(script: &str, arguments: &[S], variables: &[(&str, PathBuf)]) -> Result<String> {
    let interpreter = env::var_os("PERSONAROUTE_PYTHON")
        .context("PERSONAROUTE_PYTHON is not set: run the tests with `cargo xtask test`, or see `cargo xtask setup`")?;
    let mut command = Command::new(interpreter);
    // The script comes on standard input, so that a traceback does not repeat it as one long argument.
    command.arg("-").args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    // A proxy of the machine is not asked for loopback, and no key of the machine is used.
    command.env("NO_PROXY", "127.0.0.1").env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting Python")?;
    // The handle is dropped at the end of this statement, which ends the script for the interpreter.
    child.stdin.take().context("Python's standard input")?.write_all(script.as_bytes()).context("handing over")?;
    let output = child.wait_with_output().context("waiting for Python")?;
    if !output.status.success() {
        bail!("Python ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
