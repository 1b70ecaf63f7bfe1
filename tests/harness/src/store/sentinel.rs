//! A primary with a replica, and a sentinel that exchanges their roles on request.

use anyhow::Result;

use super::{Mode, Store, retried, wait_until};

/// The primary's name at the sentinel.
pub const SERVICE: &str = "main";

/// The three servers; they are killed when dropped.
pub struct Sentinel {
    pub servers: [Store; 2],
    pub sentinel: Store,
}

impl Sentinel {
    /// Starts a primary, its replica and a sentinel, and waits until the sentinel knows both.
    ///
    /// # Errors
    ///
    /// Fails where no server is installed, or when the sentinel does not find the replica.
    pub fn start() -> Result<Self> {
        let primary = Store::start_with(None, "repl-diskless-sync-delay 0")?;
        let port = primary.port();
        let replica = Store::start_with(None, &format!("replicaof 127.0.0.1 {port}\nrepl-diskless-sync-delay 0"))?;
        let config = format!("sentinel monitor {SERVICE} 127.0.0.1 {port} 1");
        let sentinel = retried(|| Store::start_as(Mode::Sentinel, None, &config))?;
        wait_until("the sentinel knows the replica", || {
            Ok(sentinel.ask(&["SENTINEL", "REPLICAS", SERVICE])?.contains(&replica.port().to_string()))
        })?;
        Ok(Self { servers: [primary, replica], sentinel })
    }

    /// Promotes the replica, and waits until the sentinel names it as the primary.
    ///
    /// # Errors
    ///
    /// Fails when the sentinel refuses or the servers do not exchange their roles.
    pub fn fail_over(&self) -> Result<()> {
        let [_, replica] = &self.servers;
        wait_until("the replica is in step", || Ok(replica.ask(&["INFO", "replication"])?.contains("link_status:up")))?;
        // It refuses until it has heard from the replica itself.
        wait_until("the sentinel starts the failover", || {
            Ok(self.sentinel.ask(&["SENTINEL", "FAILOVER", SERVICE]).is_ok())
        })?;
        wait_until("the replica is the primary", || {
            let address = self.sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])?;
            Ok(address.ends_with(&replica.port().to_string()) && replica.ask(&["ROLE"])?.starts_with("master"))
        })
    }
}
