//! Keeps the latest figures of each kind in `docs/bench/<date>-<commit>/`, with the machine that they were taken on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// Describes the machine; every folder has one.
const MACHINE: &str = "machine.md";

/// One folder of figures.
pub(super) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Makes the folder of today and of the commit that is checked out, with the machine's description.
    pub(super) fn new() -> Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(workspace::root()).args(["rev-parse", "--short=10", "HEAD"]);
        let commit = process::capture(&mut git, "asking git for the commit")?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
        let name = format!("{}-{}", date(seconds / 86_400), commit.trim());
        let folder = workspace::root().join("docs/bench").join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let archive = Self { folder };
        archive.write(MACHINE, &machine()?)?;
        Ok(archive)
    }

    /// Writes one file of figures, and deletes older files of that name.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        eprintln!("bench: {}", file.display());
        if name != MACHINE {
            for old in supersede(&self.folder, name)? {
                eprintln!("bench: deleted {}; `cargo xtask tidy` names the links to repair", old.display());
            }
        }
        Ok(())
    }
}

/// Deletes files called `name` in the folders beside `own`, and folders that then hold no figures.
fn supersede(own: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let archive = own.parent().context("a folder of figures is in the archive")?;
    let mut deleted = Vec::new();
    for entry in fs::read_dir(archive).with_context(|| archive.display().to_string())?.flatten() {
        let (folder, old) = (entry.path(), entry.path().join(name));
        if folder == own || !old.is_file() {
            continue;
        }
        fs::remove_file(&old).with_context(|| old.display().to_string())?;
        let left = fs::read_dir(&folder).with_context(|| folder.display().to_string())?.flatten();
        if left.into_iter().all(|entry| entry.file_name() == MACHINE) {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        deleted.push(old);
    }
    Ok(deleted)
}

fn machine() -> Result<String> {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = process::capture(Command::new("rustc").current_dir(workspace::root()).arg("-V"), "asking rustc")?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(format!(
        "# The machine\n\n- processor: {processor}, {cores} cores\n- memory: {memory}\n- kernel: {}\n- compiler: {}\n",
        kernel.trim(),
        rustc.trim()
    ))
}

fn field(file: impl AsRef<Path>, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// A day since 1970 as year-month-day: Howard Hinnant's `civil_from_days`.
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_figures_replace_older_ones_of_their_kind() {
        let archive = std::env::temp_dir().join(format!("xtask-archive-{}", std::process::id()));
        let at = |path: &str| archive.join(path);
        for file in ["old/machine.md", "old/gateway.md", "mixed/machine.md", "mixed/gateway.md", "mixed/training.md"] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), "").unwrap();
        }
        fs::create_dir_all(at("new")).unwrap();
        fs::write(at("new/gateway.md"), "").unwrap();
        let mut deleted = supersede(&at("new"), "gateway.md").unwrap();
        deleted.sort();
        let kept = [at("old").exists(), at("mixed/training.md").exists(), at("new/gateway.md").exists()];
        fs::remove_dir_all(&archive).unwrap();
        assert_eq!(deleted, [at("mixed/gateway.md"), at("old/gateway.md")]);
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_780), "2026-11-23");
    }
}
