//! Which candidates can serve a request at all, found before any scoring.

use std::sync::Arc;

use super::{Capability, Constraints, Needs, Offer, Policy};

/// The candidates that remain, and those that do not, with reasons.
#[derive(Debug, Clone, Default)]
pub struct Eligible<'a> {
    /// The candidates to score, in the policy's order, each at the cheapest place that can serve the request.
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

impl Demand<'_> {
    /// Returns what keeps a place with this offer from serving the request under `constraints`.
    pub fn obstacle(&self, constraints: &Constraints, offer: &Offer) -> Option<Reason> {
        if let Some(lacking) = self.needs.unmet(&offer.capabilities) {
            return Some(Reason::Lacks(lacking));
        }
        if offer.context_window.is_some_and(|window| self.tokens > window) {
            return Some(Reason::ContextWindow);
        }
        let too_dear = constraints.max_input_price.is_some_and(|most| offer.input_price > most)
            || constraints.max_output_price.is_some_and(|most| offer.output_price > most);
        if too_dear {
            return Some(Reason::Price);
        }
        let allowed = &constraints.regions;
        let is_elsewhere = !allowed.is_empty() && !offer.region.as_ref().is_some_and(|region| allowed.contains(region));
        is_elsewhere.then_some(Reason::Region)
    }
}

/// Returns which of `policy`'s candidates can serve `demand`; `places` finds what an LLM offers at each of its places, and
/// what keeps the place from the request's wire format. One place that can serve the request is enough.
pub fn eligible<'a, P: Iterator<Item = (&'a Offer, Option<Reason>)>>(
    policy: &Policy,
    demand: Demand<'_>,
    places: impl Fn(&str) -> Option<P>,
) -> Eligible<'a> {
    let mut eligible = Eligible::default();
    for llm in &policy.candidates {
        let Some(places) = places(llm) else {
            continue;
        };
        match cheapest(&policy.constraints, demand, llm, places) {
            Ok(offer) => eligible.offers.push(offer),
            Err(reason) => eligible.left_out.push(LeftOut { llm: Arc::clone(llm), reason }),
        }
    }
    eligible
}

/// Returns the cheapest offer of `llm` that can serve the request, or what keeps its first place from it; that a place
/// does not speak the request's format says the least.
fn cheapest<'a>(
    constraints: &Constraints,
    demand: Demand<'_>,
    llm: &str,
    places: impl Iterator<Item = (&'a Offer, Option<Reason>)>,
) -> Result<&'a Offer, Reason> {
    if demand.only.is_some_and(|only| !only.iter().any(|asked| asked == llm)) {
        return Err(Reason::NotAsked);
    }
    let mut best: Result<&Offer, Reason> = Err(Reason::Wire);
    for (offer, unspoken) in places {
        best = match (best, unspoken.or_else(|| demand.obstacle(constraints, offer))) {
            (Ok(best), None) if best.even_price() <= offer.even_price() => Ok(best),
            (_, None) => Ok(offer),
            (Err(Reason::Wire), Some(reason)) => Err(reason),
            (best, Some(_)) => best,
        };
    }
    best
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
            region: Some("eu".to_owned()),
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
        let eligible = eligible(&policy(constraints), demand, |_| Some([(offered, None)].into_iter()));
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
        let eligible = eligible(&policy(Constraints::default()), demand, |_| Some([(&offered, None)].into_iter()));
        assert_eq!(eligible.left_out.first().map(|left| left.reason), Some(Reason::NotAsked));
    }

    #[test]
    fn one_place_that_fits_is_enough_and_the_cheapest_of_those_stands_for_the_llm() {
        let at = |input_price, region: &str, capabilities: &[Capability]| Offer {
            input_price,
            region: Some(region.to_owned()),
            ..offer("a", None, capabilities)
        };
        let blind = [Capability::Tools];
        let places = [at(1.0, "us", &[]), at(2.0, "eu", &blind), at(9.0, "eu", &[]), at(3.0, "eu", &[])];
        let mut needs = Needs::default();
        needs.add(Capability::Vision);
        let demand = Demand { needs: &needs, tokens: 1, only: None };
        let within = |constraints| {
            let unspoken = [None; 4];
            let found = eligible(&policy(constraints), demand, |_| Some(places.iter().zip(unspoken)));
            let price = found.offers.first().map(|offer| offer.input_price);
            (price, found.left_out.first().map(|left| left.reason))
        };
        let europe = Constraints { regions: vec!["eu".to_owned()], ..Constraints::default() };
        assert_eq!(within(europe.clone()), (Some(3.0), None));
        let cheap = Constraints { max_input_price: Some(2.5), ..europe };
        assert_eq!(within(cheap), (None, Some(Reason::Region)), "the first place's reason");
        assert_eq!(within(Constraints::default()), (Some(1.0), None));
    }
}
