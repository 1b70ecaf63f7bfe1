//! Which candidates can serve a request at all, found before any scoring.

use std::sync::Arc;

use super::{Capability, Constraints, Needs, Offer, Policy};

/// The candidates that remain, and those that do not, with reasons.
#[derive(Debug, Clone, Default)]
pub struct Eligible<'a> {
    /// The candidates to score, in the policy's order.
    pub offers: Vec<&'a Offer>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// A candidate that cannot serve the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The LLM.
    pub llm: Arc<str>,
    /// Why.
    pub reason: Reason,
}

/// Why a candidate cannot serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request's own list does not name it.
    NotAsked,
    /// The prompt and the asked-for answer do not fit its context window.
    ContextWindow,
    /// It lacks a capability the request needs.
    Lacks(Capability),
    /// It costs more than the virtual model allows.
    Price,
    /// It runs outside the allowed regions.
    Region,
    /// None of its upstreams speaks the request's wire format.
    Wire,
    /// Its upstreams speak another format, which has no word for something in the request.
    Untranslatable,
}

impl Reason {
    /// Returns the reason as explanations and labels spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::ContextWindow => "context_window",
            Self::Lacks(Capability::Tools) => "no_tools",
            Self::Lacks(Capability::Vision) => "no_vision",
            Self::Lacks(Capability::Audio) => "no_audio",
            Self::Lacks(Capability::Json) => "no_json",
            Self::Lacks(Capability::Reasoning) => "no_reasoning",
            Self::Price => "price",
            Self::Region => "region",
            Self::Wire => "wire_format",
            Self::Untranslatable => "untranslatable",
        }
    }
}

/// What a request asks of its candidates.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Capabilities it needs.
    pub needs: &'a Needs,
    /// Estimated tokens of the prompt plus the most it allows for the answer.
    pub tokens: u32,
    /// The only LLMs the client allows, when it says so.
    pub only: Option<&'a [String]>,
}

/// Returns which of `policy`'s candidates can serve `demand`; `offer` finds an LLM, and what keeps it from the request's
/// wire format.
pub fn eligible<'a>(
    policy: &Policy,
    demand: Demand<'_>,
    offer: impl Fn(&str) -> Option<(&'a Offer, Option<Reason>)>,
) -> Eligible<'a> {
    let mut eligible = Eligible::default();
    for llm in &policy.candidates {
        let Some((offer, unspoken)) = offer(llm) else {
            continue;
        };
        match unspoken.or_else(|| obstacle(&policy.constraints, demand, offer)) {
            Some(reason) => eligible.left_out.push(LeftOut { llm: Arc::clone(llm), reason }),
            None => eligible.offers.push(offer),
        }
    }
    eligible
}

fn obstacle(constraints: &Constraints, demand: Demand<'_>, offer: &Offer) -> Option<Reason> {
    let not_asked = demand.only.is_some_and(|only| !only.iter().any(|llm| **llm == *offer.llm));
    if not_asked {
        return Some(Reason::NotAsked);
    }
    if let Some(lacking) = demand.needs.unmet(&offer.capabilities) {
        return Some(Reason::Lacks(lacking));
    }
    if offer.context_window.is_some_and(|window| demand.tokens > window) {
        return Some(Reason::ContextWindow);
    }
    let too_dear = constraints.max_input_price.is_some_and(|most| offer.input_price > most)
        || constraints.max_output_price.is_some_and(|most| offer.output_price > most);
    if too_dear {
        return Some(Reason::Price);
    }
    let is_elsewhere =
        !constraints.regions.is_empty() && !offer.regions.iter().any(|region| constraints.regions.contains(region));
    is_elsewhere.then_some(Reason::Region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(llm: &str, window: Option<u32>, capabilities: &[Capability]) -> Offer {
        Offer {
            llm: Arc::from(llm),
            input_price: 1.0,
            output_price: 2.0,
            cached_input_price: 0.5,
            context_window: window,
            capabilities: capabilities.to_vec(),
            regions: vec!["eu".to_owned()],
        }
    }

    fn policy(constraints: Constraints) -> Policy {
        Policy {
            name: Arc::from("auto"),
            candidates: vec![Arc::from("a")],
            preference: None,
            task: None,
            fallback: Vec::new(),
            constraints,
            margin: 0.0,
            expiry: std::time::Duration::ZERO,
        }
    }

    fn reason(constraints: Constraints, offered: &Offer, needs: &[Capability], tokens: u32) -> Option<Reason> {
        let mut needed = Needs::default();
        needs.iter().for_each(|need| needed.add(*need));
        let demand = Demand { needs: &needed, tokens, only: None };
        let eligible = eligible(&policy(constraints), demand, |_| Some((offered, None)));
        eligible.left_out.first().map(|left| left.reason)
    }

    #[test]
    fn a_prompt_longer_than_the_window_leaves_the_candidate_out() {
        let offered = offer("a", Some(100), &[]);
        assert_eq!(reason(Constraints::default(), &offered, &[], 100), None);
        assert_eq!(reason(Constraints::default(), &offered, &[], 101), Some(Reason::ContextWindow));
    }

    #[test]
    fn an_image_needs_vision_unless_nothing_is_declared() {
        let blind = offer("a", None, &[Capability::Tools]);
        let needs = [Capability::Vision];
        assert_eq!(reason(Constraints::default(), &blind, &needs, 1), Some(Reason::Lacks(Capability::Vision)));
        assert_eq!(reason(Constraints::default(), &offer("a", None, &[]), &needs, 1), None);
    }

    #[test]
    fn price_and_region_are_held_to_the_policy() {
        let dear = Constraints { max_output_price: Some(1.5), ..Constraints::default() };
        assert_eq!(reason(dear, &offer("a", None, &[]), &[], 1), Some(Reason::Price));
        let elsewhere = Constraints { regions: vec!["us".to_owned()], ..Constraints::default() };
        assert_eq!(reason(elsewhere, &offer("a", None, &[]), &[], 1), Some(Reason::Region));
    }

    #[test]
    fn a_client_can_narrow_the_candidates() {
        let offered = offer("a", None, &[]);
        let only = ["b".to_owned()];
        let demand = Demand { needs: &Needs::default(), tokens: 1, only: Some(&only) };
        let eligible = eligible(&policy(Constraints::default()), demand, |_| Some((&offered, None)));
        assert_eq!(eligible.left_out.first().map(|left| left.reason), Some(Reason::NotAsked));
    }
}
