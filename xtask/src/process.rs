//! Runs other programs, and says in plain words which one failed and how.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command with its output shown, and fails when it does.
pub(crate) fn run(command: &mut Command, doing: &str) -> Result<()> {
    let program = program_name(command);
    let status = command.status().with_context(|| format!("{doing}: could not start `{program}`"))?;
    if !status.success() {
        bail!("{doing}: `{program}` ended with {status}");
    }
    Ok(())
}

/// Runs a command silently and returns what it wrote; its errors become ours.
pub(crate) fn capture(command: &mut Command, doing: &str) -> Result<String> {
    let program = program_name(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{doing}: could not start `{program}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{doing}: `{program}` ended with {}\n{}", output.status, last_lines(&said, 12));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True when the command starts and succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Finds a program on the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// True for the administrator, who may install Debian packages.
pub(crate) fn is_root() -> bool {
    capture(Command::new("id").arg("-u"), "reading the user id").is_ok_and(|id| id.trim() == "0")
}

/// A cargo command in the workspace: the same cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::workspace::root());
    command
}

fn program_name(command: &Command) -> String {
    let arguments = command.get_args().take(3).map(OsStr::to_string_lossy);
    std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_last_words() {
        let error = capture(Command::new("ls").arg("/no/such/folder"), "listing").unwrap_err().to_string();
        assert!(error.starts_with("listing: `ls /no/such/folder` ended with"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(find("no-such-program-anywhere").is_none());
        assert!(find("ls").is_some());
    }
}
