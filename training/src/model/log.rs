//! `metrics.jsonl`: one line per epoch.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::progress::Progress;

/// Appends epochs to the run's metrics.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Opens the log of a run folder, which is created.
    pub fn new(run_dir: &Path) -> Result<Self> {
        fs::create_dir_all(run_dir).with_context(|| format!("create {}", run_dir.display()))?;
        Ok(Self { path: run_dir.join("metrics.jsonl") })
    }

    /// Drops the lines after epoch `epoch`: an interrupted run may have written more than its checkpoint knows.
    pub fn keep(&self, epoch: usize) -> Result<()> {
        let text = if epoch > 0 { fs::read_to_string(&self.path).unwrap_or_default() } else { String::new() };
        let last = epoch as u64;
        let early = |line: &&str| {
            let value: Option<Value> = serde_json::from_str(line).ok();
            value.is_some_and(|v| is_of_users(&v) && v.get("epoch").and_then(Value::as_u64).is_some_and(|e| e <= last))
        };
        let kept: String = text.lines().filter(early).flat_map(|line| [line, "\n"]).collect();
        fs::write(&self.path, kept).with_context(|| format!("write {}", self.path.display()))
    }

    /// Appends one line.
    pub fn write(&self, progress: &Progress) -> Result<()> {
        let line = json!({
            "stage": progress.stage,
            "epoch": progress.epoch,
            "loss": progress.loss,
            "validation": progress.validation,
        });
        let mut file = self.open()?;
        writeln!(file, "{line}").with_context(|| format!("write {}", self.path.display()))
    }

    fn open(&self) -> Result<File> {
        let opened = OpenOptions::new().create(true).append(true).open(&self.path);
        opened.with_context(|| format!("open {}", self.path.display()))
    }
}

fn is_of_users(line: &Value) -> bool {
    line.get("stage").and_then(Value::as_str) == Some("users")
}
