//! The run folder: `config.yaml` as it was written, `run.json` with what else a run depends on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::source::{BenchFiles, Source};

const CONFIG: &str = "config.yaml";
const INFO: &str = "run.json";

/// The commit that the build was told.
const COMMIT: Option<&str> = option_env!("PERSONAROUTE_COMMIT");

/// What a run depends on besides its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The exact command.
    pub command: String,
    /// Commit that the trainer was built from; `unknown` unless its build was told, as `cargo xtask install` does.
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
            commit: COMMIT.unwrap_or("unknown").to_owned(),
            started: rfc3339(Timestamp::now()),
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

/// Formats a time as `2026-01-31T23:59:59Z`.
fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |milliseconds| rfc3339(Timestamp::from_millisecond(milliseconds).unwrap());
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00Z");
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
