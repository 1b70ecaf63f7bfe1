//! A cluster of three primaries on the loopback address.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{Kept, Mode, Store, free_port, retried, wait_until};
use crate::wait::Wait;

/// Slots of each node.
const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

/// Milliseconds after which the others take a silent node for failed.
const NODE_TIMEOUT: &str = "1000";

/// The nodes, in the order of their slots.
pub struct Cluster {
    pub nodes: Vec<Store>,
}

impl Cluster {
    /// Starts three nodes and waits until each serves the whole cluster.
    ///
    /// # Errors
    ///
    /// Fails where no server is installed, or when the nodes do not find each other.
    pub fn start() -> Result<Self> {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in SLOTS {
            let (node, bus) = retried(start_node)?;
            nodes.push(node);
            buses.push(bus);
        }
        let cluster = Self { nodes };
        for (epoch, (node, (first, last))) in (1..).zip(cluster.nodes.iter().zip(SLOTS)) {
            // Equal epochs would be resolved, too, but later.
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &format!("{epoch}")])?;
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
        }
        let first = cluster.nodes.first().context("a node")?;
        for (node, bus) in cluster.nodes.iter().zip(buses).skip(1) {
            first.ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus.to_string()])?;
        }
        cluster.wait_until_complete()?;
        Ok(cluster)
    }

    /// Has each node tell clients to use the port in `ports` in place of its own.
    ///
    /// # Errors
    ///
    /// Fails when a node refuses, or does not learn the ports of the others.
    pub fn announce(&mut self, ports: &[u16]) -> Result<()> {
        for (node, port) in self.nodes.iter_mut().zip(ports) {
            node.configure("cluster-announce-port", &port.to_string())?;
        }
        wait_until("every node knows the ports", || {
            for node in &self.nodes {
                let slots = node.ask(&["CLUSTER", "SLOTS"])?;
                let known: Vec<&str> = slots.lines().collect();
                if !ports.iter().all(|port| known.contains(&port.to_string().as_str())) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Waits until each node knows that all slots are served.
    ///
    /// # Errors
    ///
    /// Fails when that does not happen.
    pub fn wait_until_complete(&self) -> Result<()> {
        wait_until("the cluster is complete", || {
            for node in &self.nodes {
                let info = node.ask(&["CLUSTER", "INFO"])?;
                let is_complete = ["cluster_state:ok", "cluster_known_nodes:3", "cluster_size:3"];
                if !is_complete.iter().all(|line| info.contains(line)) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Returns the index of the node that serves `key` when the cluster starts.
    ///
    /// # Errors
    ///
    /// Fails when no node answers.
    pub fn owner(&self, key: &str) -> Result<usize> {
        let slot = self.slot(key)?;
        SLOTS.iter().position(|(first, last)| (first..=last).contains(&&slot)).context("a slot")
    }

    /// Moves the slot of `key` with its data from the node that serves it to the node `target`.
    ///
    /// # Errors
    ///
    /// Fails when a node refuses.
    pub fn move_slot(&self, key: &str, target: usize) -> Result<()> {
        let slot = self.slot(key)?.to_string();
        let source = self.nodes.get(self.owner(key)?).context("the source")?;
        let target = self.nodes.get(target).context("the target")?;
        let (source_id, target_id) = (source.ask(&["CLUSTER", "MYID"])?, target.ask(&["CLUSTER", "MYID"])?);
        target.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id])?;
        source.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id])?;
        let wait = Wait::new(format_args!("no key left in slot {slot}"));
        loop {
            let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])?;
            if keys.is_empty() {
                break;
            }
            wait.block()?;
            let port = target.port().to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.lines());
            source.ask(&words)?;
        }
        for node in [target, source] {
            node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id])?;
        }
        Ok(())
    }

    fn slot(&self, key: &str) -> Result<u16> {
        let node = self.nodes.first().context("a node")?;
        Ok(node.ask(&["CLUSTER", "KEYSLOT", key])?.parse()?)
    }
}

impl Kept for Cluster {
    fn kept(&self, budget: &str) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for node in &self.nodes {
            all.extend(node.kept(budget)?);
        }
        Ok(all)
    }
}

/// Starts a node that knows no other; returns it with the port of its bus.
fn start_node() -> Result<(Store, u16)> {
    let bus = free_port()?;
    let config = format!("cluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout {NODE_TIMEOUT}");
    Ok((Store::start_as(Mode::Server, None, &config)?, bus))
}
