//! Runs Node scripts with the packages that `cargo xtask setup` installs: the official clients for JavaScript.

use std::env;
use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::skip;

/// Runs a module with arguments and returns what it printed; a failing script's last words become the error. Returns nothing, and
/// records the test as skipped, if set-up found no Node on this machine.
///
/// # Errors
///
/// Fails when the script ends with anything but success.
pub fn run<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Result<Option<String>> {
    let Some(folder) = env::var_os("PERSONAROUTE_NODE_PACKAGES") else {
        skip::record("PERSONAROUTE_NODE_PACKAGES is not set: Node and npm are needed, see `cargo xtask setup`");
        return Ok(None);
    };
    let mut command = Command::new("node");
    // Packages are found from the folder in which the script on standard input seems to lie.
    command.args(["--input-type=module", "-"]).args(arguments).current_dir(folder);
    command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY").env_remove("NODE_OPTIONS");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("starting Node")?;
    child.stdin.take().context("Node's standard input")?.write_all(script.as_bytes()).context("handing over")?;
    let output = child.wait_with_output().context("waiting for Node")?;
    if !output.status.success() {
        bail!("Node ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}
