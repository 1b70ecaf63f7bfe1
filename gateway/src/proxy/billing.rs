//! The token usage of one request, reported by the upstream or estimated, and its price.

use crate::{
    api::Usage,
    decide::ModelSpec,
    state::{Cost, QuotaLease},
};

/// The usage of one request, and the quotas that it is charged to.
#[derive(Debug, Default)]
pub(super) struct Billing {
    prompt_tokens: u64,
    usage: Option<Usage>,
    is_estimated: bool,
    lease: Option<QuotaLease>,
}

impl Billing {
    /// Sets the estimated prompt tokens, for responses without reported usage.
    pub(super) fn set_prompt_tokens(&mut self, prompt_tokens: u64) {
        self.prompt_tokens = prompt_tokens;
    }

    /// Holds `lease` until the usage is charged to it.
    pub(super) fn hold(&mut self, lease: QuotaLease) {
        self.lease = Some(lease);
    }

    /// Records usage that the upstream reported.
    pub(super) fn record(&mut self, usage: Usage) {
        self.usage = Some(self.usage.unwrap_or_default().merge(usage));
    }

    /// Estimates the usage of a response of about `output` tokens, unless usage was reported.
    pub(super) fn estimate(&mut self, output: u64) {
        if self.usage.is_none() {
            self.is_estimated = true;
            self.usage = Some(Usage { input: self.prompt_tokens, cached: 0, output });
        }
    }

    /// Raises the output tokens of a truncated response to about `output`: counts before its end are too low.
    pub(super) fn raise_output(&mut self, output: u64) {
        if let Some(usage) = self.usage.as_mut().filter(|usage| usage.output < output) {
            usage.output = output;
            self.is_estimated = true;
        }
    }

    /// Returns the usage, reported or estimated.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns the usage if the upstream reported it.
    pub(super) fn reported_usage(&self) -> Option<Usage> {
        self.usage.filter(|_| !self.is_estimated)
    }

    /// Returns whether the usage is an estimate.
    pub(super) fn is_estimated(&self) -> bool {
        self.is_estimated
    }

    /// Charges the usage at the prices of `spec` to the quotas, and returns its price in USD.
    pub(super) fn charge(&mut self, spec: &ModelSpec) -> Option<f64> {
        let usage = self.usage?;
        let usd = price(usage, spec);
        if let Some(lease) = &mut self.lease {
            lease.record_usage(Cost { tokens: usage.input.saturating_add(usage.output), usd });
        }
        Some(usd)
    }
}

/// Returns the price of `usage` in USD.
#[expect(clippy::cast_precision_loss, reason = "invariant: token counts stay far below 2^53")]
pub(super) fn price(usage: Usage, spec: &ModelSpec) -> f64 {
    let cached = usage.cached.min(usage.input);
    let uncached = usage.input - cached;
    let prices = [(uncached, spec.input_price), (cached, spec.cached_input_price), (usage.output, spec.output_price)];
    prices.into_iter().map(|(tokens, price)| tokens as f64 * f64::from(price) / 1e6).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn spec() -> ModelSpec {
        ModelSpec {
            llm: Arc::from("a"),
            input_price: 2.0,
            output_price: 10.0,
            cached_input_price: 1.0,
            context_window: None,
            capabilities: Vec::new(),
            region: None,
        }
    }

    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = Usage { input: 1_000_000, cached: 400_000, output: 100_000 };
        assert!((price(usage, &spec()) - (1.2 + 0.4 + 1.0)).abs() < 1e-9);
    }

    #[test]
    fn reported_usage_is_preferred_and_a_truncated_response_raises_it() {
        let mut billing = Billing::default();
        billing.set_prompt_tokens(7);
        billing.record(Usage { input: 5, cached: 0, output: 1 });
        billing.estimate(9);
        assert_eq!(billing.reported_usage(), Some(Usage { input: 5, cached: 0, output: 1 }));
        billing.raise_output(3);
        assert_eq!((billing.usage().map(|usage| usage.output), billing.reported_usage()), (Some(3), None));
    }

    #[test]
    fn without_reported_usage_the_prompt_and_the_output_are_estimated() {
        let mut billing = Billing::default();
        billing.set_prompt_tokens(7);
        assert_eq!(billing.charge(&spec()), None, "nothing was sent");
        billing.estimate(2);
        assert_eq!((billing.usage(), billing.is_estimated()), (Some(Usage { input: 7, cached: 0, output: 2 }), true));
    }
}
