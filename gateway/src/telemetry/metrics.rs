//! Metrics: a registry that is a value, labels that are typed and few.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{LearningMetrics, UsageTable, Used};

/// Finished requests by format, virtual or concrete model asked for, and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    model: Arc<str>,
    outcome: &'static str,
}

/// Answers by the LLM that gave them and by what was known of the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChoiceLabels {
    model: Arc<str>,
    user_state: &'static str,
}

/// Failed attempts by LLM and reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    model: String,
    reason: String,
}

/// Decisions made in the fallback order, or handshakes that failed, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Reloads, hedges, or spans, by outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Tokens by LLM and direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: Arc<str>,
    kind: &'static str,
}

/// Money by LLM, model asked for, and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpendLabels {
    model: Arc<str>,
    asked: Arc<str>,
    key: Arc<str>,
}

/// Answers by LLM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: Arc<str>,
}

/// Health by upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// USD, summed up.
type Usd = Counter<f64, AtomicU64>;

/// The counters of one LLM, model asked for, and key, found once instead of for each answer.
#[derive(Debug)]
struct Meter {
    input: Counter,
    cached_input: Counter,
    output: Counter,
    spend: Usd,
}

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
    tokens: Family<TokenLabels, Counter>,
    spend: Family<SpendLabels, Usd>,
    meters: RwLock<HashMap<SpendLabels, Meter>>,
    estimated: Family<ModelLabels, Counter>,
    persist_failures: Counter,
    store_unavailable: Counter,
    spans: Family<OutcomeLabels, Counter>,
    learning: LearningMetrics,
    usage: UsageTable,
    decision: Histogram,
    first_byte: Histogram,
    total: Histogram,
}

/// Buckets of the decision: 20 µs to 1.3 s, doubling twice a step around the budget of 100 µs.
const DECISION: [f64; 12] = [2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2, 0.2, 1.0];

/// Buckets of upstream times: LLMs answer after 50 ms at best and after minutes at worst.
const ANSWER: [f64; 12] = [1e-3, 5e-3, 2e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

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
            tokens: Family::default(),
            spend: Family::default(),
            meters: RwLock::default(),
            estimated: Family::default(),
            persist_failures: Counter::default(),
            store_unavailable: Counter::default(),
            spans: Family::default(),
            learning: LearningMetrics::default(),
            usage: UsageTable::new(rows),
            decision: Histogram::new(DECISION),
            first_byte: Histogram::new(ANSWER),
            total: Histogram::new(ANSWER),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        self.learning.register(registry);
        registry.register("requests", "Finished requests", self.requests.clone());
        registry.register("requests_in_flight", "Requests being served", self.in_flight.clone());
        registry.register("choices", "Answers by the LLM that gave them", self.choices.clone());
        registry.register("attempts_failed", "Failed attempts at an upstream", self.attempts_failed.clone());
        registry.register("decisions_degraded", "Decisions in the fallback order", self.degraded.clone());
        registry.register("reloads", "Reloads by outcome", self.reloads.clone());
        registry.register("hedges", "Requests that a second place was asked for", self.hedges.clone());
        registry.register("upstream_up", "Whether probes find an upstream well", self.upstream_up.clone());
        registry.register("handshakes_failed", "TLS connections not made", self.handshakes_failed.clone());
        registry.register("tokens", "Tokens counted by upstreams", self.tokens.clone());
        registry.register("spend_usd", "Cost by the catalog's prices", self.spend.clone());
        registry.register("usage_estimated", "Answers whose tokens were estimated", self.estimated.clone());
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
        registry.register("spans", "Spans of traces by what became of them", self.spans.clone());
        registry.register("decision_seconds", "Time of a decision", self.decision.clone());
        registry.register("first_byte_seconds", "Time until the first byte of an answer", self.first_byte.clone());
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

    /// Counts a request that began.
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

    /// Counts a request that a second place was asked for, by whether that one answered.
    pub fn hedged(&self, outcome: &'static str) {
        self.hedges.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Notes whether probes find an upstream well.
    pub fn probed(&self, upstream: &str, is_well: bool) {
        let labels = UpstreamLabels { upstream: upstream.to_owned() };
        self.upstream_up.get_or_create(&labels).set(i64::from(is_well));
    }

    /// Says no more of an upstream that is not probed any longer.
    pub fn unprobed(&self, upstream: &str) {
        self.upstream_up.remove(&UpstreamLabels { upstream: upstream.to_owned() });
    }

    /// Counts a TLS connection that was not made.
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

    /// Counts an answer that began.
    pub fn answered(&self, model: &Arc<str>, user_state: &'static str, first_byte: Duration) {
        self.choices.get_or_create(&ChoiceLabels { model: Arc::clone(model), user_state }).inc();
        self.first_byte.observe(first_byte.as_secs_f64());
    }

    /// Counts what an answer used.
    pub fn used(&self, used: Used) {
        let (model, asked, key) = (Arc::clone(&used.model), Arc::clone(&used.asked), Arc::clone(&used.key));
        self.metered(SpendLabels { model, asked, key }, |meter| {
            meter.input.inc_by(used.usage.input);
            meter.cached_input.inc_by(used.usage.cached);
            meter.output.inc_by(used.usage.output);
            meter.spend.inc_by(used.usd);
        });
        if used.estimated {
            self.estimated.get_or_create(&ModelLabels { model: Arc::clone(&used.model) }).inc();
        }
        self.usage.add(used);
    }

    fn metered(&self, labels: SpendLabels, count: impl FnOnce(&Meter)) {
        if let Some(meter) = self.meters.read().unwrap_or_else(PoisonError::into_inner).get(&labels) {
            return count(meter);
        }
        let tokens = |kind| {
            let labels = TokenLabels { model: Arc::clone(&labels.model), kind };
            self.tokens.get_or_create(&labels).clone()
        };
        let meter = Meter {
            input: tokens("input"),
            cached_input: tokens("cached_input"),
            output: tokens("output"),
            spend: self.spend.get_or_create(&labels).clone(),
        };
        count(self.meters.write().unwrap_or_else(PoisonError::into_inner).entry(labels).or_insert(meter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Usage;

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
    fn what_answers_used_adds_up_over_models_asked_for_and_keys() {
        let metrics = Metrics::default();
        for (asked, key) in [("auto", "a"), ("auto", "a"), ("auto", "b"), ("GPT-4o", "a")] {
            let [model, asked, key] = ["GPT-4o", asked, key].map(Arc::from);
            let usage = Usage { input: 10, cached: 4, output: 5 };
            metrics.used(Used { user: None, key, model, asked, usage, usd: 0.25, estimated: false });
        }
        let text = metrics.render();
        for expected in [
            r#"tokens_total{model="GPT-4o",kind="input"} 40"#,
            r#"tokens_total{model="GPT-4o",kind="cached_input"} 16"#,
            r#"tokens_total{model="GPT-4o",kind="output"} 20"#,
            r#"spend_usd_total{model="GPT-4o",asked="auto",key="a"} 0.5"#,
            r#"spend_usd_total{model="GPT-4o",asked="auto",key="b"} 0.25"#,
            r#"spend_usd_total{model="GPT-4o",asked="GPT-4o",key="a"} 0.25"#,
        ] {
            assert!(text.contains(&format!("personaroute_{expected}")), "{expected} in {text}");
        }
    }

    #[test]
    fn nothing_is_said_of_an_upstream_that_left() {
        let metrics = Metrics::default();
        ["old", "kept"].iter().for_each(|upstream| metrics.probed(upstream, false));
        metrics.unprobed("old");
        let text = metrics.render();
        assert!(!text.contains("upstream=\"old\""), "{text}");
        assert!(text.contains(r#"personaroute_upstream_up{upstream="kept"} 0"#), "{text}");
    }
}
