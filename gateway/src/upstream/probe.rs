//! Active health checks: the gateway sends a request to an upstream at intervals and opens its circuit while they fail.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Upstream;
use crate::config::Probe;

/// The outcome of the probes so far.
#[derive(Debug, Default)]
struct ProbeStreak {
    is_unhealthy: bool,
    /// Consecutive probes that contradict `is_unhealthy`.
    contradicting: u32,
}

/// A change of health that a probe caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthChange {
    Unhealthy,
    Healthy,
}

impl ProbeStreak {
    fn record(&mut self, is_healthy: bool, probe: &Probe) -> Option<HealthChange> {
        if is_healthy != self.is_unhealthy {
            self.contradicting = 0;
            return None;
        }
        self.contradicting += 1;
        let threshold = if self.is_unhealthy { probe.successes } else { probe.failures };
        if self.contradicting < threshold {
            return None;
        }
        self.contradicting = 0;
        self.is_unhealthy = !self.is_unhealthy;
        Some(if self.is_unhealthy { HealthChange::Unhealthy } else { HealthChange::Healthy })
    }
}

/// Probes `upstream` at the configured interval for as long as the future is polled. After each probe it calls
/// `on_result` with the upstream's name and whether the upstream is healthy.
pub async fn run(upstream: &Arc<Upstream>, on_result: impl Fn(&str, bool)) {
    let Some(probe) = &upstream.config.health else {
        return;
    };
    let name = upstream.config.name.as_str();
    // After a reload the upstream may already be unhealthy.
    let mut streak = ProbeStreak { is_unhealthy: upstream.breaker.is_unhealthy(), contradicting: 0 };
    loop {
        let result = match tokio::time::timeout(probe.timeout, upstream.probe(&probe.path)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(status.as_str().to_owned()),
            Ok(Err(failure)) => Err(failure.as_str().to_owned()),
            Err(_) => Err("timeout".to_owned()),
        };
        match streak.record(result.is_ok(), probe) {
            Some(HealthChange::Unhealthy) => {
                upstream.breaker.mark_unhealthy();
                tracing::warn!(
                    upstream = name,
                    reason = result.err(),
                    "the upstream is unhealthy and gets no requests"
                );
            }
            Some(HealthChange::Healthy) => {
                upstream.breaker.mark_healthy(Instant::now());
                tracing::info!(upstream = name, "the upstream is healthy again");
            }
            None => {}
        }
        on_result(name, !streak.is_unhealthy);
        tokio::time::sleep(jittered(probe.interval)).await;
    }
}

/// Returns `interval` with ±10 % jitter, so that replicas do not probe at the same moment.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consecutive_probes_change_the_health() {
        let second = Duration::from_secs(1);
        let probe = Probe { path: "/health".to_owned(), interval: second, timeout: second, failures: 2, successes: 3 };
        let mut streak = ProbeStreak::default();
        let mut record = |is_healthy| streak.record(is_healthy, &probe);
        assert_eq!([record(false), record(true), record(false)], [None; 3]);
        assert_eq!(record(false), Some(HealthChange::Unhealthy));
        assert_eq!([record(true), record(true), record(false), record(true), record(true)], [None; 5]);
        assert_eq!(record(true), Some(HealthChange::Healthy));
    }
}
