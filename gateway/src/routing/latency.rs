//! How long decisions take at present, and with it whether a thread that serves sockets may make one itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Decisions are quick while they take less than this on average: half of what may hold up a thread that serves sockets.
const INLINE_MAX_AVERAGE: Duration = Duration::from_micros(250);

/// What a router is taken to need before it has shown otherwise, in a dozen decisions, and what one costs that is given up.
const INITIAL_ESTIMATE: Duration = Duration::from_millis(1);

/// How long other threads decide after a decision that was not quick at all.
const INLINE_COOLDOWN: Duration = Duration::from_secs(10);

/// The latency of one router.
#[derive(Debug)]
pub(super) struct LatencyEstimator {
    since: Instant,
    /// Nanoseconds of a decision, averaged over the last ones. Two threads that note one at a time may lose one.
    average: AtomicU64,
    /// Nanoseconds after `since` when the rest ends.
    cooldown_end: AtomicU64,
}

impl LatencyEstimator {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, average: AtomicU64::new(nanos(INITIAL_ESTIMATE)), cooldown_end: AtomicU64::new(0) }
    }

    /// Returns whether the next decision may be expected to be quick.
    pub(super) fn allows_inline(&self, now: Instant) -> bool {
        self.average.load(Ordering::Relaxed) < nanos(INLINE_MAX_AVERAGE)
            && self.after(now) >= self.cooldown_end.load(Ordering::Relaxed)
    }

    /// Notes a decision, by the processor time it took.
    pub(super) fn record(&self, time: Duration) {
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 8 + nanos(time) / 8, Ordering::Relaxed);
    }

    /// Notes a decision that had to be given up after `time` of the processor. Where that is little, the thread had to wait
    /// for its turn on a busy machine, which is not the router's fault, or the decision waited: that several together count
    /// as slow keeps it from happening often.
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

/// Measures the processor time of the thread that it is made on: what a busy machine takes away does not count. Of quick
/// work it is the time that went by, which is no less and costs no system call.
#[derive(Debug)]
pub(super) struct CpuTimer {
    began: Instant,
    spent: Timespec,
}

impl CpuTimer {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), spent: clock_gettime(ClockId::ThreadCPUTime) }
    }

    /// Returns the time since the beginning.
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
    fn a_router_has_to_show_that_it_is_quick_and_may_lose_its_name() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        assert!(!latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(600)));
        assert!(!latency.allows_inline(now));
    }

    #[test]
    fn after_a_decision_that_was_given_up_there_is_a_rest() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        latency.record_timeout(INITIAL_ESTIMATE, now);
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(!latency.allows_inline(now + INLINE_COOLDOWN / 2));
        assert!(latency.allows_inline(now + INLINE_COOLDOWN));
    }

    #[test]
    fn a_thread_that_had_to_wait_for_its_turn_is_forgiven_unless_that_happens_often() {
        let now = Instant::now();
        let latency = LatencyEstimator::new(now);
        (0..100).for_each(|_| latency.record(Duration::from_micros(60)));
        latency.record_timeout(Duration::from_micros(40), now);
        assert!(latency.allows_inline(now));
        (0..2).for_each(|_| latency.record_timeout(Duration::from_micros(40), now));
        assert!(!latency.allows_inline(now));
        (0..20).for_each(|_| latency.record(Duration::from_micros(60)));
        assert!(latency.allows_inline(now), "without a rest");
    }

    #[test]
    fn only_time_on_the_processor_is_work() {
        let (work, began) = (CpuTimer::begin(), Instant::now());
        let (_open, gate) = std::sync::mpsc::channel::<()>();
        assert!(gate.recv_timeout(Duration::from_millis(20)).is_err());
        assert!(work.elapsed() < began.elapsed() / 2);
        while work.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }
}
