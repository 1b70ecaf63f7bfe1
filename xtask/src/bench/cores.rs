//! Which cores processes run on, and whether cores fall asleep.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result};

use crate::process;

/// Processes that share one core until this is dropped, with all threads they have or start.
pub(super) struct OneCore {
    processes: Vec<u32>,
    before: String,
}

impl OneCore {
    /// Moves `processes` to the first core that this one may use.
    pub(super) fn share(processes: Vec<u32>) -> Result<Self> {
        let before = allowed(&fs::read_to_string("/proc/self/status").context("/proc/self/status")?);
        let first = before.split([',', '-']).next().unwrap_or_default().to_owned();
        let moved = Self { processes, before };
        moved.processes.iter().try_for_each(|&process| set(process, &first))?;
        Ok(moved)
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        for &process in &self.processes {
            // One that has ended needs no core.
            let _ = set(process, &self.before);
        }
    }
}

/// Idle-priority work on every core until this is dropped, so that no core falls asleep.
pub(super) struct BusyCores(Vec<Child>);

impl BusyCores {
    /// Starts the work on every core that this process may use.
    pub(super) fn start() -> Result<Self> {
        let mut started = Self(Vec::new());
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            // The scheduler takes a core that only does this for one that is idle.
            let mut busy = Command::new("chrt");
            busy.args(["--idle", "0", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
            started.0.push(busy.spawn().context("keeping the cores awake")?);
        }
        Ok(started)
    }
}

impl Drop for BusyCores {
    fn drop(&mut self) {
        for busy in &mut self.0 {
            let _ = busy.kill();
            let _ = busy.wait();
        }
    }
}

/// Returns the list of cores in the text of a `status` file.
fn allowed(status: &str) -> String {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.unwrap_or("0").trim().to_owned()
}

fn set(process: u32, cores: &str) -> Result<()> {
    let mut taskset = Command::new("taskset");
    taskset.args(["--all-tasks", "--cpu-list", "--pid", cores, &process.to_string()]);
    process::capture(&mut taskset, "choosing the core").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_from_the_status() {
        assert_eq!(allowed("Name:\ta\nCpus_allowed:\tf\nCpus_allowed_list:\t2-3,7\nMems:\t0\n"), "2-3,7");
        assert_eq!(allowed("Name:\ta\n"), "0");
    }
}
