//! Metrics of what responses use: tokens and cost.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Used;

/// Tokens by LLM and direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: Arc<str>,
    kind: &'static str,
}

/// Cost by LLM, requested model, and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpendLabels {
    model: Arc<str>,
    requested_model: Arc<str>,
    key: Arc<str>,
}

/// Responses by LLM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: Arc<str>,
}

/// A sum of USD.
type Usd = Counter<f64, AtomicU64>;

/// The counters of one LLM, requested model, and key, looked up once instead of for each response.
#[derive(Debug)]
struct Meter {
    input: Counter,
    cached_input: Counter,
    output: Counter,
    spend: Usd,
}

/// What responses have used since the start.
#[derive(Debug, Default)]
pub(super) struct ConsumptionMetrics {
    tokens: Family<TokenLabels, Counter>,
    spend: Family<SpendLabels, Usd>,
    estimated: Family<ModelLabels, Counter>,
    meters: RwLock<HashMap<SpendLabels, Meter>>,
}

impl ConsumptionMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("tokens", "Tokens counted by upstreams", self.tokens.clone());
        registry.register("spend_usd", "Cost by the catalog's prices", self.spend.clone());
        registry.register("usage_estimated", "Responses whose tokens were estimated", self.estimated.clone());
    }

    /// Adds what a response used.
    pub(super) fn add(&self, used: &Used) {
        let [model, requested_model, key] = [&used.model, &used.requested_model, &used.key].map(Arc::clone);
        self.with_meter(SpendLabels { model, requested_model, key }, |meter| {
            meter.input.inc_by(used.usage.input);
            meter.cached_input.inc_by(used.usage.cached);
            meter.output.inc_by(used.usage.output);
            meter.spend.inc_by(used.usd);
        });
        if used.estimated {
            self.estimated.get_or_create(&ModelLabels { model: Arc::clone(&used.model) }).inc();
        }
    }

    fn with_meter(&self, labels: SpendLabels, count: impl FnOnce(&Meter)) {
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
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::api::Usage;

    #[test]
    fn usage_adds_up_by_llm_requested_model_and_key() {
        let (metrics, mut registry) = (ConsumptionMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        for (requested_model, key) in [("auto", "a"), ("auto", "a"), ("auto", "b"), ("GPT-4o", "a")] {
            let [model, requested_model, key] = ["GPT-4o", requested_model, key].map(Arc::from);
            let usage = Usage { input: 10, cached: 4, output: 5 };
            metrics.add(&Used { user: None, key, model, requested_model, usage, usd: 0.25, estimated: false });
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for expected in [
            r#"tokens_total{model="GPT-4o",kind="input"} 40"#,
            r#"tokens_total{model="GPT-4o",kind="cached_input"} 16"#,
            r#"tokens_total{model="GPT-4o",kind="output"} 20"#,
            r#"spend_usd_total{model="GPT-4o",requested_model="auto",key="a"} 0.5"#,
            r#"spend_usd_total{model="GPT-4o",requested_model="auto",key="b"} 0.25"#,
            r#"spend_usd_total{model="GPT-4o",requested_model="GPT-4o",key="a"} 0.25"#,
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
