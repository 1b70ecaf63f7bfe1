//! What the gateway counts and measures, in one registry.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    LearningMetrics, UsageTable, Used,
    consumption::ConsumptionMetrics,
    labels::{ChoiceLabels, FailureLabels, OutcomeLabels, ReasonLabels, RequestLabels, UpstreamLabels},
};

/// Everything the gateway counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    in_flight: Gauge,
    choices: Family<ChoiceLabels, Counter>,
    attempts_failed: Family<FailureLabels, Counter>,
    degraded: Family<ReasonLabels, Counter>,
    reloads: Family<OutcomeLabels, Counter>,
    handshakes_failed: Family<ReasonLabels, Counter>,
    hedges: Family<OutcomeLabels, Counter>,
    upstream_up: Family<UpstreamLabels, Gauge>,
    consumption: ConsumptionMetrics,
    persist_failures: Counter,
    store_unavailable: Counter,
    spans: Family<OutcomeLabels, Counter>,
    learning: LearningMetrics,
    usage: UsageTable,
    decision: Histogram,
    first_byte: Histogram,
    total: Histogram,
}

/// Buckets of the time of a decision, which is 100 µs at best and its deadline at worst.
const DECISION: [f64; 12] = [2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2, 0.2, 1.0];

/// Buckets of upstream times: LLMs respond after 50 ms at best and after minutes at worst.
const RESPONSE: [f64; 12] = [1e-3, 5e-3, 2e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Metrics {
    /// Returns metrics whose table of usage has at most `rows` rows.
    pub fn new(rows: usize) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("personaroute"),
            requests: Family::default(),
            in_flight: Gauge::default(),
            choices: Family::default(),
            attempts_failed: Family::default(),
            degraded: Family::default(),
            reloads: Family::default(),
            handshakes_failed: Family::default(),
            hedges: Family::default(),
            upstream_up: Family::default(),
            consumption: ConsumptionMetrics::default(),
            persist_failures: Counter::default(),
            store_unavailable: Counter::default(),
            spans: Family::default(),
            learning: LearningMetrics::default(),
            usage: UsageTable::new(rows),
            decision: Histogram::new(DECISION),
            first_byte: Histogram::new(RESPONSE),
            total: Histogram::new(RESPONSE),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        self.learning.register(registry);
        registry.register("requests", "Finished requests", self.requests.clone());
        registry.register("requests_in_flight", "Requests being served", self.in_flight.clone());
        registry.register("choices", "Responses by the LLM that gave them", self.choices.clone());
        registry.register("attempts_failed", "Failed attempts at an upstream", self.attempts_failed.clone());
        registry.register("decisions_degraded", "Decisions in the fallback order", self.degraded.clone());
        registry.register("reloads", "Reloads by outcome", self.reloads.clone());
        registry.register("hedges", "Requests that a second endpoint was asked to answer", self.hedges.clone());
        registry.register("upstream_up", "Whether health probes find an upstream healthy", self.upstream_up.clone());
        registry.register("handshakes_failed", "TLS handshakes that failed", self.handshakes_failed.clone());
        self.consumption.register(registry);
        registry.register(
            "persist_failures",
            "Requests whose spending could not be persisted in the state file",
            self.persist_failures.clone(),
        );
        registry.register(
            "store_unavailable",
            "Requests whose budget was reserved locally because the shared store did not answer",
            self.store_unavailable.clone(),
        );
        registry.register("spans", "Spans of traces by outcome", self.spans.clone());
        registry.register("decision_seconds", "Time of a decision", self.decision.clone());
        registry.register("first_byte_seconds", "Time until the first byte of a response", self.first_byte.clone());
        registry.register("request_seconds", "Time of a whole request", self.total.clone());
    }

    /// Returns the exposition text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _infallible = encode(&mut text, &self.registry);
        text
    }

    /// Returns who used what.
    pub fn usage(&self) -> &UsageTable {
        &self.usage
    }

    /// Returns what the learning counts.
    pub fn learning(&self) -> &LearningMetrics {
        &self.learning
    }

    /// Counts a request that started.
    pub fn began(&self) {
        self.in_flight.inc();
    }

    /// Counts a request that ended.
    pub fn ended(&self, route: &'static str, model: &Arc<str>, outcome: &'static str, total: Duration) {
        self.in_flight.dec();
        self.requests.get_or_create(&RequestLabels { route, model: Arc::clone(model), outcome }).inc();
        self.total.observe(total.as_secs_f64());
    }

    /// Counts a reload.
    pub fn reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts `count` spans.
    pub fn spans(&self, outcome: &'static str, count: u64) {
        self.spans.get_or_create(&OutcomeLabels { outcome }).inc_by(count);
    }

    /// Counts a request that a second endpoint was asked to answer, by which of the two answered.
    pub fn hedged(&self, outcome: &'static str) {
        self.hedges.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Records whether health probes find an upstream healthy.
    pub fn probed(&self, upstream: &str, is_healthy: bool) {
        let labels = UpstreamLabels { upstream: upstream.to_owned() };
        self.upstream_up.get_or_create(&labels).set(i64::from(is_healthy));
    }

    /// Removes an upstream that is no longer probed.
    pub fn unprobed(&self, upstream: &str) {
        self.upstream_up.remove(&UpstreamLabels { upstream: upstream.to_owned() });
    }

    /// Counts a TLS handshake that failed.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a request whose spending has `persist_failed`, or whose shared store was `store_unavailable`.
    pub fn state_failed(&self, reason: &str) {
        match reason {
            "persist_failed" => self.persist_failures.inc(),
            _ => self.store_unavailable.inc(),
        };
    }

    /// Counts a decision.
    pub fn decided(&self, elapsed: Duration, degraded: Option<&'static str>) {
        match degraded {
            Some(reason) => {
                self.degraded.get_or_create(&ReasonLabels { reason }).inc();
            }
            None => self.decision.observe(elapsed.as_secs_f64()),
        }
    }

    /// Counts a failed attempt.
    pub fn attempt_failed(&self, model: &str, reason: &str) {
        let labels = FailureLabels { model: model.to_owned(), reason: reason.to_owned() };
        self.attempts_failed.get_or_create(&labels).inc();
    }

    /// Counts a response that started.
    pub fn answered(&self, model: &Arc<str>, user_state: &'static str, first_byte: Duration) {
        self.choices.get_or_create(&ChoiceLabels { model: Arc::clone(model), user_state }).inc();
        self.first_byte.observe(first_byte.as_secs_f64());
    }

    /// Counts what a response used.
    pub fn used(&self, used: Used) {
        self.consumption.add(&used);
        self.usage.add(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_in_the_exposition() {
        let metrics = Metrics::default();
        metrics.began();
        metrics.ended("chat", &Arc::from("auto"), "ok", Duration::from_millis(3));
        metrics.attempt_failed("GPT-4o", "connect");
        let text = metrics.render();
        assert!(text.contains(r#"personaroute_requests_total{route="chat",model="auto",outcome="ok"} 1"#), "{text}");
        assert!(text.contains(r#"personaroute_attempts_failed_total{model="GPT-4o",reason="connect"} 1"#), "{text}");
        assert!(text.contains("personaroute_requests_in_flight 0"), "{text}");
    }

    #[test]
    fn an_upstream_that_is_no_longer_probed_is_not_exposed() {
        let metrics = Metrics::default();
        ["old", "kept"].iter().for_each(|upstream| metrics.probed(upstream, false));
        metrics.unprobed("old");
        let text = metrics.render();
        assert!(!text.contains("upstream=\"old\""), "{text}");
        assert!(text.contains(r#"personaroute_upstream_up{upstream="kept"} 0"#), "{text}");
    }
}
