//! Estimates the CPU time of a decision, which determines whether decisions may run inline on threads that serve sockets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Decisions run inline while their average is below this: half of the time for which such a thread may be blocked.
const INLINE_MAX_AVERAGE: Duration = Duration::from_micros(250);

/// The estimate before any measurement; it takes about twelve fast decisions to get below the limit. A decision that timed
/// out counts with the same value.
const INITIAL_ESTIMATE: Duration = Duration::from_millis(1);

/// How long decisions stay on the thread pool after an inline decision that used too much CPU time.
const INLINE_COOLDOWN: Duration = Duration::from_secs(10);

/// The estimator of one router.
#[derive(Debug)]
pub(super) struct LatencyEstimator {
    since: Instant,
    /// Moving average in nanoseconds. Concurrent updates may lose a measurement.
    average: AtomicU64,
    /// End of the cool-down, in nanoseconds after `since`.
    cooldown_end: AtomicU64,
}

impl LatencyEstimator {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, average: AtomicU64::new(nanos(INITIAL_ESTIMATE)), cooldown_end: AtomicU64::new(0) }
    }

    /// Returns whether the next decision may run inline.
    pub(super) fn allows_inline(&self, now: Instant) -> bool {
        self.average.load(Ordering::Relaxed) < nanos(INLINE_MAX_AVERAGE)
            && self.after(now) >= self.cooldown_end.load(Ordering::Relaxed)
    }

    /// Records a decision that took `time` on the CPU.
    pub(super) fn record(&self, time: Duration) {
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 8 + nanos(time) / 8, Ordering::Relaxed);
    }

    /// Records an inline decision that timed out after `time` on the CPU. If `time` is short, the thread was preempted or
    /// the decision blocked: one such timeout counts as a slow decision, and several end inline execution. If it is long,
    /// the cool-down starts.
    pub(super) fn record_timeout(&self, time: Duration, now: Instant) {
        if time < INITIAL_ESTIMATE {
            self.record(INITIAL_ESTIMATE);
            return;
        }
        self.cooldown_end.store(self.after(now).saturating_add(nanos(INLINE_COOLDOWN)), Ordering::Relaxed);
        self.average.store(nanos(INITIAL_ESTIMATE), Ordering::Relaxed);
    }

    fn after(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.since))
    }
}

/// Measures the CPU time of the current thread, so that preemption does not count. For short work it returns the elapsed
/// time instead, an upper bound that needs no system call.
#[derive(Debug)]
pub(super) struct CpuTimer {
    began: Instant,
    spent: Timespec,
}

impl CpuTimer {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), spent: clock_gettime(ClockId::ThreadCPUTime) }
    }

    /// Returns the CPU time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        let passed = self.began.elapsed();
        if passed < INLINE_MAX_AVERAGE {
            return passed;
        }
        let spent = clock_gettime(ClockId::ThreadCPUTime).checked_sub(self.spent);
        spent.and_then(|spent| spent.try_into().ok()).unwrap_or_default()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_decisions_allow_inline_execution_and_slow_ones_end_it() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        assert!(!latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(600)));
        assert!(!latency.allows_inline(now));
    }

    #[test]
    fn a_timeout_on_the_cpu_starts_the_cooldown() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        latency.record_timeout(INITIAL_ESTIMATE, now);
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(!latency.allows_inline(now + INLINE_COOLDOWN / 2));
        assert!(latency.allows_inline(now + INLINE_COOLDOWN));
    }

    #[test]
    fn a_timeout_of_a_preempted_thread_does_not_end_inline_execution_but_several_do() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        (0..100).for_each(|_| latency.record(Duration::from_micros(60)));
        latency.record_timeout(Duration::from_micros(40), now);
        assert!(latency.allows_inline(now));
        (0..2).for_each(|_| latency.record_timeout(Duration::from_micros(40), now));
        assert!(!latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(latency.allows_inline(now), "without a cool-down");
    }

    #[test]
    fn only_cpu_time_is_measured() {
        let (work, began) = (CpuTimer::begin(), Instant::now());
        let (_open, gate) = std::sync::mpsc::channel::<()>();
        assert!(gate.recv_timeout(Duration::from_millis(20)).is_err());
        assert!(work.elapsed() < began.elapsed() / 2);
        while work.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }
}
