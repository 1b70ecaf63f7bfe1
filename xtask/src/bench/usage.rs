//! What a process uses, as the kernel counts it under /proc.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use super::load::{Load, Measured};

/// The kernel's unit of processor time towards programs; 100 a second on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process and its children so far; nginx works in children.
pub(super) fn processor(root: u32) -> Duration {
    TICK * members(root).map(|(_, ticks)| ticks).sum::<u32>()
}

/// Returns `root` and its children.
pub(super) fn family(root: u32) -> Vec<u32> {
    members(root).map(|(process, _)| process).collect()
}

/// Returns each process of the family of `root` with its ticks.
fn members(root: u32) -> impl Iterator<Item = (u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((process, of_family(&stat, root)?))
    })
}

/// Ticks in user and kernel mode, if the line of `stat` is of `root` or of a child of it.
fn of_family(stat: &str, root: u32) -> Option<u32> {
    // The program's name, in brackets, may hold spaces.
    let (head, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let pid: u32 = head.split(' ').next()?.parse().ok()?;
    let parent: u32 = fields.get(1)?.parse().ok()?;
    let ticks = |idx: usize| fields.get(idx)?.parse::<u32>().ok();
    (pid == root || parent == root).then_some(ticks(11)? + ticks(12)?)
}

/// Resident memory in kilobytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    memory(pid, "VmRSS:")
}

/// The most resident memory so far in kilobytes.
pub(super) fn peak(pid: u32) -> Option<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Resident memory in kilobytes just before a starting process maps `library`; none when it ended or never does.
pub(super) fn resident_before(child: &mut Child, library: &str) -> Option<u64> {
    let maps = Path::new("/proc").join(child.id().to_string()).join("maps");
    let mut before = None;
    for _ in 0..20_000 {
        if fs::read_to_string(&maps).ok()?.contains(library) {
            return before;
        }
        before = resident(child.id()).or(before);
        if child.try_wait().ok()?.is_some() {
            return None;
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
    None
}

/// Runs `load` in `rounds` rounds and returns the resident kilobytes after each.
pub(super) fn memory_over(load: &Load, rounds: usize, pid: u32) -> anyhow::Result<Vec<u64>> {
    let mut after = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let _: Measured = load.once()?;
        after.extend(resident(pid));
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_and_of_its_children_counts() {
        let line =
            |pid: u32, parent: u32| format!("{pid} (a (b) c) S {parent} 1 1 0 -1 4194304 1 0 0 0 30 12 0 0 20 0");
        assert_eq!(of_family(&line(7, 1), 7), Some(42));
        assert_eq!(of_family(&line(8, 7), 7), Some(42));
        assert_eq!(of_family(&line(9, 8), 7), None);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let own = std::process::id();
        assert!(resident(own).is_some_and(|kilobytes| kilobytes > 100));
        assert!(processor(own) < Duration::from_secs(1 << 20));
    }

    #[test]
    fn a_process_is_of_its_own_family() {
        assert!(family(std::process::id()).contains(&std::process::id()));
    }
}
