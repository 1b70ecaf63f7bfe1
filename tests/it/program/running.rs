//! `personaroute serve` as a child process, with its log as it comes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use personaroute_harness::{path, wait::Wait};
use serde_json::Value;
use tempfile::TempDir;

/// The configuration's name in its folder.
pub(super) const FILE: &str = "gateway.yaml";

/// A running program; it is killed when dropped.
pub(super) struct Running {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl Running {
    /// Starts the program with a configuration, which must let it choose its ports and log in JSON.
    pub(super) fn start(configuration: &str) -> Result<Self> {
        Self::start_knowing(configuration, &[])
    }

    /// Starts the program with further variables in its environment.
    pub(super) fn start_knowing(configuration: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(FILE), configuration)?;
        Self::start_in(folder, variables)
    }

    /// Starts the program with the configuration in `folder`.
    pub(super) fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Result<Self> {
        let file = folder.path().join(FILE);
        // Without the trap a file that reaches its limit would end the program, as no full disk does.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(path::binary("personaroute"));
        command.arg("serve").arg("--config").arg(&file);
        // A pipe has no content until the program reads it.
        let written = if file.is_file() { fs::read_to_string(&file)? } else { String::new() };
        // A variable comes before the file, so that it is set only for parts that the file does not name.
        for (key, variable, path) in [
            ("wasm: ", "PERSONAROUTE_PLUGIN", path::plugin()),
            ("bundle: ", "PERSONAROUTE_BUNDLE", path::default_bundle()),
            ("encoder: ", "PERSONAROUTE_ENCODER_DIR", path::encoder()),
            ("onnxruntime: ", "ORT_DYLIB_PATH", path::onnxruntime()),
        ] {
            if written.contains(key) {
                command.env_remove(variable)
            } else {
                command.env(variable, path)
            };
        }
        command.envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("the built program")?;
        let stderr = child.stderr.take().context("its log")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(said);
            }
        });
        Ok(Self { child, log, reader: Some(reader), folder })
    }

    /// Returns the first line of the log that `is_wanted`, once it is there.
    pub(super) async fn line(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let wait = Wait::new("a line of the log");
        loop {
            if let Some(line) = self.lines().into_iter().find(&is_wanted) {
                return Ok(line);
            }
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the program ended with {status}: {:?}", self.lines());
            }
            wait.pause().await;
        }
    }

    /// Returns where it listens, and where its admin listener is.
    pub(super) async fn addresses(&mut self) -> Result<(SocketAddr, SocketAddr)> {
        let line = self.line(|line| line["message"] == "listening").await?;
        let address = |name: &str| line[name].as_str().unwrap_or_default().parse().with_context(|| line.to_string());
        Ok((address("address")?, address("admin")?))
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) -> Result<()> {
        self.signal("-TERM")
    }

    /// Sends SIGHUP.
    pub(super) fn hang_up(&self) -> Result<()> {
        self.signal("-HUP")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().context("kill")?;
        anyhow::ensure!(sent.success(), "kill ended with {sent}");
        Ok(())
    }

    /// Returns the path of its configuration.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Lets the program's files grow to `most` bytes and no further: what it writes then fails.
    pub(super) fn limit_files(&self, most: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={most}:")]).status();
        let set = set.context("prlimit")?;
        anyhow::ensure!(set.success(), "prlimit ended with {set}");
        Ok(())
    }

    /// Kills the program and returns its folder, in which it can be started again.
    pub(super) fn kill(mut self) -> Result<TempDir> {
        Ok(std::mem::replace(&mut self.folder, tempfile::tempdir()?))
    }

    /// Returns how it ended, or nothing while it runs.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Returns the log so far.
    pub(super) fn lines(&self) -> Vec<Value> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program's log: {:?}", self.lines());
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Returns a configuration of two LLMs at a simulated upstream, or at the one that `upstream` describes.
pub(super) fn configuration(upstream: &str, more: &str) -> String {
    format!(
        "version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams:
  - {{name: a, {upstream}}}
models:
  - {{llm: GPT-4o, upstream: a, input_price: 5, output_price: 15}}
  - {{llm: GPT-4o-mini, upstream: a, input_price: 1, output_price: 2}}
virtual_models:
  - {{name: auto, fallback: [GPT-4o]}}
log: {{format: json, filter: info}}
{more}
"
    )
}
