//! Active health: an upstream is asked between requests whether it is well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Peer;
use crate::config::Probe;

/// What a row of probes has shown so far.
#[derive(Debug, Default)]
struct Row {
    is_ill: bool,
    /// Probes in a row that speak against it.
    against: u32,
}

/// A change that a probe brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ailed,
    Recovered,
}

impl Row {
    fn note(&mut self, is_well: bool, probe: &Probe) -> Option<Turn> {
        if is_well != self.is_ill {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.is_ill { probe.successes } else { probe.failures };
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.is_ill = !self.is_ill;
        Some(if self.is_ill { Turn::Ailed } else { Turn::Recovered })
    }
}

/// Probes `peer` as its configuration says, for as long as it is polled; `told` hears after each probe whether requests
/// are sent there.
pub async fn watch(peer: &Arc<Peer>, told: impl Fn(&str, bool)) {
    let Some(probe) = &peer.config.health else {
        return;
    };
    // After a reload the upstream may be ill already.
    let mut row = Row { is_ill: peer.breaker.is_ill(), against: 0 };
    loop {
        let found = match tokio::time::timeout(probe.timeout, peer.probe(&probe.path)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(status.as_str().to_owned()),
            Ok(Err(failure)) => Err(failure.as_str().to_owned()),
            Err(_) => Err("timeout".to_owned()),
        };
        let upstream = peer.config.name.as_str();
        match row.note(found.is_ok(), probe) {
            Some(Turn::Ailed) => {
                peer.breaker.ailed();
                tracing::warn!(upstream, reason = found.err(), "probes find the upstream ill, it gets no requests");
            }
            Some(Turn::Recovered) => {
                peer.breaker.recovered(Instant::now());
                tracing::info!(upstream, "probes find the upstream well again");
            }
            None => {}
        }
        told(upstream, !row.is_ill);
        tokio::time::sleep(jittered(probe.interval)).await;
    }
}

/// A tenth more or less, so that replicas do not probe in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_probes_turn_an_upstream() {
        let probe: Probe = serde_saphyr::from_str("{path: /health, failures: 2, successes: 3}").unwrap();
        let mut row = Row::default();
        let mut note = |is_well| row.note(is_well, &probe);
        assert_eq!([note(false), note(true), note(false)], [None; 3]);
        assert_eq!(note(false), Some(Turn::Ailed));
        assert_eq!([note(true), note(true), note(false), note(true), note(true)], [None; 5]);
        assert_eq!(note(true), Some(Turn::Recovered));
    }
}
