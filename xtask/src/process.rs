//! Runs other programs; an error says which one failed and how.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs a command and shows its output; fails if the command fails.
pub(crate) fn run(command: &mut Command, doing: &str) -> Result<()> {
    let program = program_name(command);
    let status = command.status().with_context(|| format!("{doing}: could not start `{program}`"))?;
    if !status.success() {
        bail!("{doing}: `{program}` ended with {status}");
    }
    Ok(())
}

/// Runs a command silently and returns its standard output; the error has its standard error.
pub(crate) fn capture(command: &mut Command, doing: &str) -> Result<String> {
    let program = program_name(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{doing}: could not start `{program}`"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{doing}: `{program}` ended with {}\n{}", output.status, last_lines(&errors, 12));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command, and shows each line of its output and passes it to `read`; returns the command's status.
///
/// If it takes longer than `limit`, it is killed with all its descendants.
pub(crate) fn lines(
    command: &mut Command,
    doing: &str,
    limit: Duration,
    mut read: impl FnMut(&str),
) -> Result<ExitStatus> {
    let program = program_name(command);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{doing}: could not start `{program}`"))?;
    let (sender, receiver) = mpsc::channel();
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let deadline = Instant::now() + limit;
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                eprintln!("{line}");
                read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                kill(child.id());
                let _ = child.wait();
                bail!("{doing}: `{program}` took longer than {} s", limit.as_secs());
            }
        }
    }
    child.wait().with_context(|| format!("{doing}: waiting for `{program}`"))
}

/// Sends the lines of a stream from a thread, until the stream ends.
fn forward(stream: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// Kills a process and its descendants, parents first, so that none is restarted.
fn kill(root: u32) {
    let mut family = vec![root];
    let parents = parents();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(process, _)| *process));
        next += 1;
    }
    let processes = family.iter().map(u32::to_string);
    // Those that have ended by themselves need no signal.
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -KILL \"$@\"", "sh"]).args(processes);
    let _ = kill.stderr(Stdio::null()).status();
}

/// Returns the parent of each process, from /proc.
fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_entry = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The program's name, in brackets, may hold spaces.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    entries.filter_map(of_entry).collect()
}

/// Returns whether the command succeeds; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Finds a program in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns whether the user is root, who can install Debian packages.
pub(crate) fn is_root() -> bool {
    capture(Command::new("id").arg("-u"), "reading the user id").is_ok_and(|id| id.trim() == "0")
}

/// The commit that is checked out; `unknown` outside a repository.
pub(crate) fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(crate::workspace::root()).args(["describe", "--always", "--abbrev=12", "--dirty"]);
    capture(&mut git, "asking git for the commit").map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}

/// Returns a command of the cargo that runs this task, in the workspace.
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
    fn lines_of_both_streams_are_read_and_the_end_is_told() {
        let mut lines = Vec::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo out; echo err >&2; exit 3"]);
        let status = super::lines(&mut shell, "telling", Duration::from_secs(60), |line| lines.push(line.to_owned()));
        lines.sort();
        assert_eq!((lines, status.unwrap().code()), (vec!["err".to_owned(), "out".to_owned()], Some(3)));
    }

    #[test]
    fn a_command_over_its_limit_is_killed_with_what_it_started() {
        let mut child = None;
        let mut shell = Command::new("sh");
        // The inner process keeps the outer one's output open, so that only its end lets the call return.
        shell.args(["-c", "sleep 600 & echo $!; wait"]);
        let told = super::lines(&mut shell, "waiting", Duration::from_secs(1), |line| child = line.parse::<u32>().ok());
        assert_eq!(told.unwrap_err().to_string(), "waiting: `sh -c sleep 600 & echo $!; wait` took longer than 1 s");
        let running =
            |process: u32| fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        // The kernel ends a killed process a little later.
        let (child, started) = (child.unwrap(), std::time::Instant::now());
        while running(child) && started.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert!(!running(child));
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(find("no-such-program-anywhere").is_none());
        assert!(find("ls").is_some());
    }
}
