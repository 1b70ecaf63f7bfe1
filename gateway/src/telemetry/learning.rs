//! Metrics of the learning: signals, adaptations, and what waits for the store.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Buckets of an adaptation: 50 µs to a second.
const ADAPT: [f64; 10] = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 2e-2, 0.1, 1.0];

/// Signals by kind and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignalLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Requests whose user's profile was not there, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What the learning counts.
#[derive(Debug)]
pub struct LearningMetrics {
    signals: Family<SignalLabels, Counter>,
    decisions_lost: Counter,
    queue: Gauge,
    store_up: Gauge,
    adapt: Histogram,
    adapt_failures: Counter,
    missing: Family<ReasonLabels, Counter>,
}

impl Default for LearningMetrics {
    fn default() -> Self {
        Self {
            signals: Family::default(),
            decisions_lost: Counter::default(),
            queue: Gauge::default(),
            store_up: Gauge::default(),
            adapt: Histogram::new(ADAPT),
            adapt_failures: Counter::default(),
            missing: Family::default(),
        }
    }
}

impl LearningMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        self.store_up.set(1);
        registry.register("learning_signals", "Signals by kind and outcome", self.signals.clone());
        registry.register(
            "learning_lost",
            "Decisions and signals that were not kept because the queue was full or the store failed",
            self.decisions_lost.clone(),
        );
        registry.register("learning_queue", "Decisions and signals that wait for the store", self.queue.clone());
        registry.register("learning_store_up", "Whether the last write of signals succeeded", self.store_up.clone());
        registry.register("learning_adapt_seconds", "Time of reading signals and adapting", self.adapt.clone());
        registry.register("learning_adapt_failures", "Adaptations that failed", self.adapt_failures.clone());
        registry.register(
            "learning_profile_missing",
            "Requests that were decided without what is known of their user",
            self.missing.clone(),
        );
    }

    /// Counts a signal of `kind` that was `accepted`, a `duplicate`, or `refused`.
    pub fn signal(&self, kind: &'static str, outcome: &'static str) {
        self.signals.get_or_create(&SignalLabels { kind, outcome }).inc();
    }

    /// Counts decisions and signals that were not kept.
    pub fn lost(&self, count: usize) {
        self.decisions_lost.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Notes how much waits.
    pub fn queued(&self, count: usize) {
        self.queue.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes whether the store fails.
    pub fn store_failed(&self, is_failing: bool) {
        self.store_up.set(i64::from(!is_failing));
    }

    /// Counts an adaptation.
    pub fn adapted(&self, elapsed: Duration, is_ok: bool) {
        self.adapt.observe(elapsed.as_secs_f64());
        if !is_ok {
            self.adapt_failures.inc();
        }
    }

    /// Counts a request that was decided without what is known of its user.
    pub fn missing(&self, reason: &'static str) {
        self.missing.get_or_create(&ReasonLabels { reason }).inc();
    }
}
