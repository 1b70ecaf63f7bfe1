//! How long decisions take at present, and with it whether a thread that serves sockets may make one itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Decisions are quick while they take less than this on average: half of what may hold up a thread that serves sockets.
const QUICK: Duration = Duration::from_micros(250);

/// What a router is taken to need before it has shown otherwise, in a dozen decisions, and what one costs that is given up.
const UNKNOWN: Duration = Duration::from_millis(1);

/// How long other threads decide after a decision that was not quick at all.
const REST: Duration = Duration::from_secs(10);

/// The pace of one router.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    /// Nanoseconds of a decision, averaged over the last ones. Two threads that note one at a time may lose one.
    average: AtomicU64,
    /// Nanoseconds after `since` when the rest ends.
    rested: AtomicU64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, average: AtomicU64::new(nanos(UNKNOWN)), rested: AtomicU64::new(0) }
    }

    /// Returns whether the next decision may be expected to be quick.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        self.average.load(Ordering::Relaxed) < nanos(QUICK) && self.after(now) >= self.rested.load(Ordering::Relaxed)
    }

    /// Notes a decision, by the processor time it took.
    pub(super) fn took(&self, time: Duration) {
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 8 + nanos(time) / 8, Ordering::Relaxed);
    }

    /// Notes a decision that had to be given up after `time` of the processor. Where that is little, the thread had to wait
    /// for its turn on a busy machine, which is not the router's fault, or the decision waited: that several together count
    /// as slow keeps it from happening often.
    pub(super) fn gave_up(&self, time: Duration, now: Instant) {
        if time < UNKNOWN {
            self.took(UNKNOWN);
            return;
        }
        self.rested.store(self.after(now).saturating_add(nanos(REST)), Ordering::Relaxed);
        self.average.store(nanos(UNKNOWN), Ordering::Relaxed);
    }

    fn after(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.since))
    }
}

/// Measures the processor time of the thread that it is made on: what a busy machine takes away does not count. Of quick
/// work it is the time that went by, which is no less and costs no system call.
#[derive(Debug)]
pub(super) struct Work {
    began: Instant,
    spent: Timespec,
}

impl Work {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), spent: clock_gettime(ClockId::ThreadCPUTime) }
    }

    /// Returns the time since the beginning.
    pub(super) fn time(&self) -> Duration {
        let passed = self.began.elapsed();
        if passed < QUICK {
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
        let pace = Pace::new(now);
        assert!(!pace.is_quick(now));
        (0..20).for_each(|_| pace.took(Duration::from_micros(60)));
        assert!(pace.is_quick(now));
        (0..20).for_each(|_| pace.took(Duration::from_micros(600)));
        assert!(!pace.is_quick(now));
    }

    #[test]
    fn after_a_decision_that_was_given_up_there_is_a_rest() {
        let now = Instant::now();
        let pace = Pace::new(now);
        pace.gave_up(UNKNOWN, now);
        (0..20).for_each(|_| pace.took(Duration::from_micros(60)));
        assert!(!pace.is_quick(now + REST / 2));
        assert!(pace.is_quick(now + REST));
    }

    #[test]
    fn a_thread_that_had_to_wait_for_its_turn_is_forgiven_unless_that_happens_often() {
        let now = Instant::now();
        let pace = Pace::new(now);
        (0..100).for_each(|_| pace.took(Duration::from_micros(60)));
        pace.gave_up(Duration::from_micros(40), now);
        assert!(pace.is_quick(now));
        (0..2).for_each(|_| pace.gave_up(Duration::from_micros(40), now));
        assert!(!pace.is_quick(now));
        (0..20).for_each(|_| pace.took(Duration::from_micros(60)));
        assert!(pace.is_quick(now), "without a rest");
    }

    #[test]
    fn only_time_on_the_processor_is_work() {
        let (work, began) = (Work::begin(), Instant::now());
        let (_open, gate) = std::sync::mpsc::channel::<()>();
        assert!(gate.recv_timeout(Duration::from_millis(20)).is_err());
        assert!(work.time() < began.elapsed() / 2);
        while work.time() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }
}
