//! The run folder: `config.yaml` as it was written, `run.json` with what else a run depends on.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::source::{BenchFiles, Source};

const CONFIG: &str = "config.yaml";
const INFO: &str = "run.json";

/// What a run depends on besides its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The exact command.
    pub command: String,
    /// Commit of the trainer, `unknown` outside a repository.
    pub commit: String,
    /// When the run began, RFC 3339.
    pub started: String,
    /// Seed of training.
    pub seed: u64,
    /// Data given on the command line instead of the configuration's.
    pub data: Option<PathBuf>,
    /// Folder that relative paths of the configuration begin at.
    pub folder: PathBuf,
    /// cpu or cuda.
    pub device: String,
}

impl Info {
    /// Describes the run that this process is about to make.
    pub fn now(seed: u64, data: Option<&Path>, device: &str) -> Result<Self> {
        let data = data.map(|data| data.canonicalize().with_context(|| data.display().to_string())).transpose()?;
        Ok(Self {
            command: command(),
            commit: commit(),
            started: rfc3339(SystemTime::now()),
            seed,
            data,
            folder: std::env::current_dir().context("the current folder")?,
            device: device.to_owned(),
        })
    }

    /// Writes the run's description and its configuration.
    pub fn write(&self, run: &Path, config: &str) -> Result<()> {
        std::fs::create_dir_all(run).with_context(|| format!("create {}", run.display()))?;
        std::fs::write(run.join(CONFIG), config).with_context(|| format!("write {}", run.join(CONFIG).display()))?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(run.join(INFO), json).with_context(|| format!("write {}", run.join(INFO).display()))
    }

    /// Reads a run's description and its configuration, with paths that hold from here.
    pub fn read(run: &Path) -> Result<(Self, Config)> {
        let file = run.join(INFO);
        let json = std::fs::read_to_string(&file).with_context(|| format!("{}: not a run", run.display()))?;
        let info: Self = serde_json::from_str(&json).with_context(|| file.display().to_string())?;
        let mut config = Config::read(&run.join(CONFIG))?;
        let absolute = |path: PathBuf| info.folder.join(path);
        config.source = match (&info.data, config.source) {
            (Some(data), _) => Some(Source::recognise(data)?),
            (None, Some(source)) => Some(based(source, absolute)),
            (None, None) => None,
        };
        config.encoder = config.encoder.map(absolute);
        config.initial = config.initial.map(absolute);
        Ok((info, config))
    }
}

fn based(source: Source, absolute: impl Fn(PathBuf) -> PathBuf) -> Source {
    match source {
        Source::Outcomes(folder) => Source::Outcomes(absolute(folder)),
        Source::Votes(folder) => Source::Votes(absolute(folder)),
        Source::Bench(bench) => Source::Bench(BenchFiles {
            files: bench.files.into_iter().map(&absolute).collect(),
            llms: absolute(bench.llms),
            embeddings: bench.embeddings.map(absolute),
        }),
    }
}

/// The command line, with the program's name instead of its path.
fn command() -> String {
    let quote = |word: String| if word.contains(' ') { format!("'{word}'") } else { word };
    let words: Vec<String> = std::env::args().skip(1).map(quote).collect();
    format!("personaroute-train {}", words.join(" ")).trim_end().to_owned()
}

fn commit() -> String {
    let git = std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--abbrev=12", "--dirty"])
        .output();
    let said = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let text = said.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| text.trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Formats a time as `2026-01-31T23:59:59Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date in a year that begins in March, so that leap days come last (Hinnant, chrono algorithms).
    let era = (days + 719_468) / 146_097;
    let day_of_era = (days + 719_468) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_132_800), "2026-11-20T00:00:00Z");
    }

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let info = Info::now(7, None, "cpu").unwrap();
        info.write(&run, "data_path: {outcomes: somewhere}\n").unwrap();
        let (again, config) = Info::read(&run).unwrap();
        assert_eq!(again, info);
        assert_eq!(config.source, Some(Source::Outcomes(info.folder.join("somewhere"))));
    }
}
