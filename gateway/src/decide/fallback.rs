//! The fallback order, used if the router returns no ranking.

use std::sync::Arc;

use super::{ModelSpec, Policy};

/// Why the fallback order was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FallbackReason {
    /// The client set `x-personaroute-bypass`.
    Bypass,
    /// The queue of the router's threads was full, or the router refused more work.
    Overloaded,
    /// The decision took too long.
    Timeout,
    /// The plugin trapped.
    Trapped,
    /// The plugin reached its memory limit.
    OutOfMemory,
    /// The plugin returned an invalid decision.
    InvalidDecision,
    /// The model runtime or the encoder failed.
    Inference,
    /// The plugin returned an error.
    Plugin,
    /// The router rejected the request as invalid.
    InvalidRequest,
}

impl FallbackReason {
    /// Returns the reason as it appears in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Trapped => "trapped",
            Self::OutOfMemory => "out_of_memory",
            Self::InvalidDecision => "invalid_decision",
            Self::Inference => "inference",
            Self::Plugin => "plugin",
            Self::InvalidRequest => "invalid_request",
        }
    }
}

/// Returns the LLMs of `specs` in the fallback order of `policy`: those it names, then the others, cheapest first.
pub fn fallback_order(policy: &Policy, specs: &[&ModelSpec]) -> Vec<Arc<str>> {
    let mut rest: Vec<&ModelSpec> = Vec::with_capacity(specs.len());
    let mut order = Vec::with_capacity(specs.len());
    for llm in &policy.fallback {
        if specs.iter().any(|spec| spec.llm == *llm) {
            order.push(Arc::clone(llm));
        }
    }
    rest.extend(specs.iter().filter(|spec| !order.contains(&spec.llm)));
    rest.sort_by(|a, b| a.blended_price().total_cmp(&b.blended_price()));
    order.extend(rest.into_iter().map(|spec| Arc::clone(&spec.llm)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(llm: &str, price: f32) -> ModelSpec {
        ModelSpec {
            llm: Arc::from(llm),
            input_price: price,
            output_price: price,
            cached_input_price: price,
            context_window: None,
            capabilities: Vec::new(),
            region: None,
        }
    }

    #[test]
    fn named_llms_come_first_and_the_others_cheapest_first() {
        let policy = Policy {
            name: Arc::from("auto"),
            candidates: Vec::new(),
            preference: None,
            task: None,
            fallback: vec![Arc::from("gone"), Arc::from("dear")],
            exploration: None,
            constraints: super::super::Constraints::default(),
            margin: 0.0,
            expiry: std::time::Duration::ZERO,
        };
        let (dear, mid, cheap) = (spec("dear", 9.0), spec("mid", 5.0), spec("cheap", 1.0));
        let order = fallback_order(&policy, &[&mid, &dear, &cheap]);
        assert_eq!(order, [Arc::from("dear"), Arc::from("cheap"), Arc::from("mid")]);
    }
}
