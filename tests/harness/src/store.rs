//! Redis servers for tests: one, a cluster, or one with a sentinel. They keep nothing on disk.

mod cluster;
mod sentinel;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::wait::Wait;

pub use self::{
    cluster::Cluster,
    sentinel::{SERVICE, Sentinel},
};

/// Server programs, each with its client program.
const PROGRAMS: [(&str, &str); 2] = [("redis-server", "redis-cli"), ("valkey-server", "valkey-cli")];

/// Attempts to start on a free port: another process may take the port first.
const STARTS: usize = 5;

/// Spending that a store keeps, for assertions.
pub trait Kept {
    /// Returns the hash of a budget such as `day/key:team`: nano-USD by process, and `total`. Empty without one.
    ///
    /// # Errors
    ///
    /// Fails when a server does not answer, or when the budget has hashes of several periods.
    fn kept(&self, budget: &str) -> Result<BTreeMap<String, u64>>;
}

/// A server; it is killed when dropped.
pub struct Store {
    server: &'static str,
    client: &'static str,
    port: u16,
    mode: Mode,
    /// Lines of the configuration file.
    config: String,
    password: Option<String>,
    folder: TempDir,
    child: Option<Child>,
}

/// What the server program is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Server,
    Sentinel,
}

impl Store {
    /// Starts a server without a password.
    ///
    /// # Errors
    ///
    /// Fails where neither Redis nor Valkey is installed: `cargo xtask setup` installs one.
    pub fn start() -> Result<Self> {
        Self::start_with(None, "")
    }

    /// Starts a server with a password and further lines of its configuration file.
    ///
    /// # Errors
    ///
    /// Fails where neither Redis nor Valkey is installed, or when the server refuses the configuration.
    pub fn start_with(password: Option<&str>, config: &str) -> Result<Self> {
        retried(|| Self::start_as(Mode::Server, password, config))
    }

    fn start_as(mode: Mode, password: Option<&str>, config: &str) -> Result<Self> {
        let is_installed =
            |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let programs = PROGRAMS.into_iter().find(|(server, _)| is_installed(server));
        let (server, client) =
            programs.context("no redis-server and no valkey-server: `cargo xtask setup` installs one")?;
        let (port, folder) = (free_port()?, tempfile::tempdir()?);
        let mut lines = format!("bind 127.0.0.1\nport {port}\n{config}\n");
        if mode == Mode::Server {
            lines.push_str("save \"\"\nappendonly no\n");
        }
        if let Some(password) = password {
            lines.push_str(&format!("requirepass {password}\n"));
        }
        let password = password.map(str::to_owned);
        let mut store = Self { server, client, port, mode, config: lines, password, folder, child: None };
        store.start_again()?;
        Ok(store)
    }

    /// Returns its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server, which loses its data.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have exited by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again, empty, on the same port.
    ///
    /// # Errors
    ///
    /// Fails when it exits or does not answer.
    pub fn start_again(&mut self) -> Result<()> {
        std::fs::write(self.folder.path().join("store.conf"), &self.config)?;
        let mut command = Command::new(self.server);
        command.current_dir(self.folder.path()).arg("store.conf");
        if self.mode == Mode::Sentinel {
            command.arg("--sentinel");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context(self.server)?;
        let wait = Wait::new(format_args!("an answer of {}", self.server));
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("{} exited with {status}", self.server);
            }
            if self.ask(&["PING"]).is_ok_and(|reply| reply == "PONG") {
                self.child = Some(child);
                return Ok(());
            }
            if let Err(error) = wait.block() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        }
    }

    /// Changes a line of the configuration, now and for later starts.
    ///
    /// # Errors
    ///
    /// Fails when the server refuses it.
    pub fn configure(&mut self, key: &str, value: &str) -> Result<()> {
        self.ask(&["CONFIG", "SET", key, value])?;
        self.config.push_str(&format!("{key} {value}\n"));
        Ok(())
    }

    /// Sends a command with the server's own client; returns what that prints.
    ///
    /// # Errors
    ///
    /// Fails when the client does, or when the reply is an error.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(self.client);
        command.args(["-e", "--raw", "-p", &self.port.to_string()]).args(words);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.stdin(Stdio::null()).output().context(self.client)?;
        let reply = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            bail!("{} {words:?}: {reply}", self.client);
        }
        Ok(reply)
    }

    /// Returns the keys that match `pattern`.
    ///
    /// # Errors
    ///
    /// Fails when the server does not answer.
    pub fn keys(&self, pattern: &str) -> Result<Vec<String>> {
        Ok(self.ask(&["KEYS", pattern])?.lines().map(str::to_owned).collect())
    }
}

impl Kept for Store {
    fn kept(&self, budget: &str) -> Result<BTreeMap<String, u64>> {
        let keys = self.keys(&format!("*:{budget}"))?;
        let key = match &keys[..] {
            [] => return Ok(BTreeMap::new()),
            [key] => key,
            several => bail!("several periods: {several:?}"),
        };
        let fields = self.ask(&["HGETALL", key])?;
        let lines: Vec<&str> = fields.lines().collect();
        let pairs = lines.chunks(2).map(|pair| match pair {
            [field, amount] => Ok(((*field).to_owned(), amount.parse()?)),
            _ => bail!("not a hash: {fields}"),
        });
        pairs.collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `is_true` returns true; an error counts as false.
fn wait_until(what: &str, is_true: impl Fn() -> Result<bool>) -> Result<()> {
    let wait = Wait::new(what);
    while !is_true().unwrap_or(false) {
        wait.block()?;
    }
    Ok(())
}

/// Calls `start` until it succeeds, at most `STARTS` times.
fn retried<T>(start: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 1..STARTS {
        if let Ok(started) = start() {
            return Ok(started);
        }
    }
    start()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
