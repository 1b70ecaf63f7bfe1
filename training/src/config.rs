//! The training configuration: the YAML of PersonalizedRouter users, unchanged, plus our own keys.

pub mod check;
pub mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::Setting;
use crate::data::outcome::Cost;
use crate::data::source::Source;
use crate::data::split::Ratio;
use crate::model::hparams::Hparams;
use crate::model::kind::ModelKind;

/// Keys that no model uses.
const UNUSED: [&str; 5] =
    ["hparam.weights", "hparam.text_dim", "hparam.text_epoch", "hparam.text_learning_rate", "hparam.text_dropout"];

/// What is meant, with all defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the data is.
    pub source: Option<Source>,
    /// Which cost column counts.
    pub cost: Cost,
    /// What the router may know.
    pub setting: Setting,
    /// Which model is trained.
    pub model: ModelKind,
    /// Keys in the file that some models do not use.
    pub given: Vec<&'static str>,
    /// Hyperparameters.
    pub hparams: Hparams,
    /// Seed of the split where the data brings none, and of training.
    pub seed: u64,
    /// Shares of the split where the data brings none.
    pub ratio: Ratio,
    /// Name parts of LLMs that belong together.
    pub families: Vec<String>,
    /// Users and tasks the file says there are.
    pub expected: Expected,
    /// Weights of the figures in the weighted score of reports.
    pub weights: BTreeMap<String, f64>,
    /// Folder of the run.
    pub run: Option<PathBuf>,
    /// File of the trained weights, beside the run's folder.
    pub save: Option<PathBuf>,
    /// Folder of the run to evaluate, where it is another.
    pub load: Option<PathBuf>,
    /// Weights to begin with.
    pub initial: Option<PathBuf>,
    /// Folder of the text-embedding model, to compute missing embeddings with.
    pub encoder: Option<PathBuf>,
}

/// More users or tasks than a configuration has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hparam.{key} has room for {room} {what}, and the data has {found}: expected {found} or more")]
pub struct TooMany {
    key: &'static str,
    what: &'static str,
    room: usize,
    found: usize,
}

/// How many users and tasks the file has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// `user_num`.
    pub users: Option<usize>,
    /// `num_task`.
    pub tasks: Option<usize>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Not YAML, an unknown key or a value of the wrong kind; the message holds line and column.
    #[error("{file}: {message}")]
    Shape {
        /// The file.
        file: String,
        /// What the parser says.
        message: String,
    },
    /// A value out of its range, or values that contradict each other.
    #[error("{file}: `{key}`: expected {expected}, found {found}")]
    Value {
        /// The file.
        file: String,
        /// Path of the key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What is written.
        found: String,
    },
}

impl Config {
    /// Reads and checks a file; paths in it are relative to the current directory, as its users know it.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { file: file.display().to_string(), source };
        Self::parse(file, &std::fs::read_to_string(file).map_err(read)?)
    }

    /// Checks `text`, the content of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw: raw::Config = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Shape { file: file.display().to_string(), message: error.to_string() })?;
        check::check(file, raw)
    }

    /// Returns one sentence that names the keys in the file without effect on the model; nothing where there are none.
    pub fn without_effect(&self) -> Option<String> {
        match self.model {
            ModelKind::ClosedForm if !self.given.is_empty() => Some(format!(
                "the model `{}` takes no gradient steps and reads no features of LLMs: {} {} no effect",
                self.model,
                self.given.join(", "),
                if self.given.len() == 1 { "has" } else { "have" },
            )),
            ModelKind::ClosedForm => None,
            ModelKind::Gnn => {
                let unused: Vec<&str> = self.given.iter().filter(|key| UNUSED.contains(key)).copied().collect();
                let verb = if unused.len() == 1 { "has" } else { "have" };
                (!unused.is_empty()).then(|| {
                    format!(
                        "the model `{}` has no use for some keys: {} {verb} no effect",
                        self.model,
                        unused.join(", ")
                    )
                })
            }
        }
    }

    /// Refuses data with more users or tasks than the file has room for.
    pub fn check_counts(&self, users: usize, tasks: usize) -> Result<(), TooMany> {
        let counts =
            [("user_num", "users", self.expected.users, users), ("num_task", "tasks", self.expected.tasks, tasks)];
        for (key, what, room, found) in counts {
            if let Some(room) = room.filter(|&room| room < found) {
                return Err(TooMany { key, what, room, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
