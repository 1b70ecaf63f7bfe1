//! A real store of Redis's kind, on a port of its own, that keeps nothing when it ends.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// Programs that serve, each with the one that asks.
const KINDS: [(&str, &str); 2] = [("redis-server", "redis-cli"), ("valkey-server", "valkey-cli")];

/// A store; it is killed when dropped.
pub struct Store {
    server: &'static str,
    client: &'static str,
    port: u16,
    options: Vec<String>,
    password: Option<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl Store {
    /// Starts a store that asks for no password.
    ///
    /// # Errors
    ///
    /// Fails where neither Redis nor Valkey is installed: `cargo xtask setup` installs one.
    pub fn start() -> Result<Self> {
        Self::start_with(None, &[])
    }

    /// Starts a store with a password and further options.
    ///
    /// # Errors
    ///
    /// Fails where neither Redis nor Valkey is installed, or when it does not take the options.
    pub fn start_with(password: Option<&str>, options: &[String]) -> Result<Self> {
        let is_here = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let kind = KINDS.into_iter().find(|(server, _)| is_here(server));
        let (server, client) =
            kind.context("no redis-server and no valkey-server: `cargo xtask setup` installs one")?;
        let mut store = Self {
            server,
            client,
            port: 0,
            options: options.to_vec(),
            password: password.map(str::to_owned),
            folder: tempfile::tempdir()?,
            child: None,
        };
        // Somebody else may take the port between the look and the start.
        for _ in 0..5 {
            store.port = free_port()?;
            if store.start_again().is_ok() {
                return Ok(store);
            }
        }
        store.start_again()?;
        Ok(store)
    }

    /// Returns the port of the loopback that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once; it keeps nothing.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, empty, where it was.
    ///
    /// # Errors
    ///
    /// Fails when it ends or does not answer.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(self.server);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--port", &self.port.to_string(), "--dir"]).arg(self.folder.path()).args(&self.options);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context(self.server)?;
        for _ in 0..3_000 {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}", self.server);
            }
            if self.ask(&["PING"]).is_ok_and(|answer| answer == "PONG") {
                self.child = Some(child);
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("{} does not answer", self.server)
    }

    /// Asks with the store's own client; returns what that prints.
    ///
    /// # Errors
    ///
    /// Fails when the client does.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(self.client);
        command.args(["-p", &self.port.to_string()]).args(words);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.stdin(Stdio::null()).output().context(self.client)?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            bail!("{}: {said}", self.client);
        }
        Ok(said)
    }

    /// Returns what is kept of an account such as `day/key:team`: nano-USD by process, and `total`.
    ///
    /// # Errors
    ///
    /// Fails when the store does not answer, or keeps two periods of it.
    pub fn kept(&self, account: &str) -> Result<BTreeMap<String, u64>> {
        let keys = self.ask(&["--raw", "KEYS", &format!("*:{account}")])?;
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        if keys.lines().count() != 1 {
            bail!("several periods: {keys}");
        }
        let fields = self.ask(&["--raw", "HGETALL", &keys])?;
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

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
