//! Filters the candidates that can serve a request, before any of them is scored.

use std::sync::Arc;

use super::{Capability, Constraints, ModelSpec, Policy, RequiredCapabilities};

/// The eligible candidates, and the excluded ones with reasons.
#[derive(Debug, Clone, Default)]
pub struct Eligible<'a> {
    /// The candidates to score, in the policy's order. Each has the spec of its cheapest endpoint that can serve the request.
    pub specs: Vec<&'a ModelSpec>,
    /// The other candidates.
    pub excluded: Vec<ExcludedCandidate>,
}

/// A candidate that cannot serve the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedCandidate {
    /// The LLM.
    pub llm: Arc<str>,
    /// Why.
    pub reason: ExclusionReason,
}

/// Why a candidate cannot serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExclusionReason {
    /// The candidate list of the request does not name it.
    NotRequested,
    /// The prompt and the requested output exceed its context window.
    ContextWindow,
    /// It lacks a capability the request needs.
    MissingCapability(Capability),
    /// It costs more than the virtual model allows.
    Price,
    /// It runs outside the allowed regions.
    Region,
    /// None of its upstreams speaks the request's wire format.
    Wire,
    /// Its upstreams speak the other format, in which a part of the request cannot be expressed.
    Untranslatable,
    /// The request refers to what another endpoint made.
    OtherEndpoint,
}

impl ExclusionReason {
    /// Returns the reason as it appears in explanations and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequested => "not_requested",
            Self::ContextWindow => "context_window",
            Self::MissingCapability(Capability::Tools) => "no_tools",
            Self::MissingCapability(Capability::Vision) => "no_vision",
            Self::MissingCapability(Capability::Audio) => "no_audio",
            Self::MissingCapability(Capability::Json) => "no_json",
            Self::MissingCapability(Capability::Reasoning) => "no_reasoning",
            Self::Price => "price",
            Self::Region => "region",
            Self::Wire => "wire_format",
            Self::Untranslatable => "untranslatable",
            Self::OtherEndpoint => "other_endpoint",
        }
    }
}

/// What a request requires of a candidate.
#[derive(Debug, Clone, Copy)]
pub struct Requirements<'a> {
    /// The required capabilities.
    pub needs: &'a RequiredCapabilities,
    /// Estimated prompt tokens plus the maximum of output tokens.
    pub tokens: u32,
    /// The LLMs the client allows; none allows all.
    pub only: Option<&'a [String]>,
}

impl Requirements<'_> {
    /// Returns the requirement or constraint that an endpoint with this spec does not meet, if there is one.
    pub fn unmet_by(&self, constraints: &Constraints, spec: &ModelSpec) -> Option<ExclusionReason> {
        if let Some(lacking) = self.needs.first_missing(&spec.capabilities) {
            return Some(ExclusionReason::MissingCapability(lacking));
        }
        if spec.context_window.is_some_and(|window| self.tokens > window) {
            return Some(ExclusionReason::ContextWindow);
        }
        let too_dear = constraints.max_input_price.is_some_and(|most| spec.input_price > most)
            || constraints.max_output_price.is_some_and(|most| spec.output_price > most);
        if too_dear {
            return Some(ExclusionReason::Price);
        }
        let allowed = &constraints.regions;
        let is_elsewhere = !allowed.is_empty() && !spec.region.as_ref().is_some_and(|region| allowed.contains(region));
        is_elsewhere.then_some(ExclusionReason::Region)
    }
}

/// Returns the candidates of `policy` that meet `requirements`. For each LLM, `endpoints` yields the spec of every endpoint
/// and the reason why that endpoint does not serve the wire format, if any. One endpoint that can serve it is enough.
pub fn eligible<'a, P: Iterator<Item = (&'a ModelSpec, Option<ExclusionReason>)>>(
    policy: &Policy,
    requirements: Requirements<'_>,
    endpoints: impl Fn(&str) -> Option<P>,
) -> Eligible<'a> {
    let mut eligible = Eligible::default();
    for llm in &policy.candidates {
        let Some(endpoints) = endpoints(llm) else {
            continue;
        };
        match cheapest(&policy.constraints, requirements, llm, endpoints) {
            Ok(spec) => eligible.specs.push(spec),
            Err(reason) => eligible.excluded.push(ExcludedCandidate { llm: Arc::clone(llm), reason }),
        }
    }
    eligible
}

/// Returns the cheapest spec of `llm` that can serve the request, or the first endpoint's reason for exclusion. A wire format
/// mismatch is reported only if no endpoint has another reason.
fn cheapest<'a>(
    constraints: &Constraints,
    requirements: Requirements<'_>,
    llm: &str,
    endpoints: impl Iterator<Item = (&'a ModelSpec, Option<ExclusionReason>)>,
) -> Result<&'a ModelSpec, ExclusionReason> {
    if requirements.only.is_some_and(|only| !only.iter().any(|asked| asked == llm)) {
        return Err(ExclusionReason::NotRequested);
    }
    let mut best: Result<&ModelSpec, ExclusionReason> = Err(ExclusionReason::Wire);
    for (spec, format_obstacle) in endpoints {
        best = match (best, format_obstacle.or_else(|| requirements.unmet_by(constraints, spec))) {
            (Ok(best), None) if best.blended_price() <= spec.blended_price() => Ok(best),
            (_, None) => Ok(spec),
            (Err(ExclusionReason::Wire), Some(reason)) => Err(reason),
            (best, Some(_)) => best,
        };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(llm: &str, window: Option<u32>, capabilities: &[Capability]) -> ModelSpec {
        ModelSpec {
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
            exploration: None,
            constraints,
            margin: 0.0,
            expiry: std::time::Duration::ZERO,
        }
    }

    fn reason(
        constraints: Constraints,
        spec: &ModelSpec,
        needs: &[Capability],
        tokens: u32,
    ) -> Option<ExclusionReason> {
        let mut needed = RequiredCapabilities::default();
        needs.iter().for_each(|need| needed.add(*need));
        let requirements = Requirements { needs: &needed, tokens, only: None };
        let eligible = eligible(&policy(constraints), requirements, |_| Some([(spec, None)].into_iter()));
        eligible.excluded.first().map(|left| left.reason)
    }

    #[test]
    fn a_prompt_longer_than_the_window_leaves_the_candidate_out() {
        let spec = spec("a", Some(100), &[]);
        assert_eq!(reason(Constraints::default(), &spec, &[], 100), None);
        assert_eq!(reason(Constraints::default(), &spec, &[], 101), Some(ExclusionReason::ContextWindow));
    }

    #[test]
    fn an_image_needs_vision_unless_nothing_is_declared() {
        let blind = spec("a", None, &[Capability::Tools]);
        let needs = [Capability::Vision];
        assert_eq!(
            reason(Constraints::default(), &blind, &needs, 1),
            Some(ExclusionReason::MissingCapability(Capability::Vision))
        );
        assert_eq!(reason(Constraints::default(), &spec("a", None, &[]), &needs, 1), None);
    }

    #[test]
    fn price_and_region_are_held_to_the_policy() {
        let dear = Constraints { max_output_price: Some(1.5), ..Constraints::default() };
        assert_eq!(reason(dear, &spec("a", None, &[]), &[], 1), Some(ExclusionReason::Price));
        let elsewhere = Constraints { regions: vec!["us".to_owned()], ..Constraints::default() };
        assert_eq!(reason(elsewhere, &spec("a", None, &[]), &[], 1), Some(ExclusionReason::Region));
    }

    #[test]
    fn a_client_can_narrow_the_candidates() {
        let spec = spec("a", None, &[]);
        let only = ["b".to_owned()];
        let requirements = Requirements { needs: &RequiredCapabilities::default(), tokens: 1, only: Some(&only) };
        let eligible = eligible(&policy(Constraints::default()), requirements, |_| Some([(&spec, None)].into_iter()));
        assert_eq!(eligible.excluded.first().map(|left| left.reason), Some(ExclusionReason::NotRequested));
    }

    #[test]
    fn one_place_that_fits_is_enough_and_the_cheapest_of_those_stands_for_the_llm() {
        let at = |input_price, region: &str, capabilities: &[Capability]| ModelSpec {
            input_price,
            region: Some(region.to_owned()),
            ..spec("a", None, capabilities)
        };
        let blind = [Capability::Tools];
        let endpoints = [at(1.0, "us", &[]), at(2.0, "eu", &blind), at(9.0, "eu", &[]), at(3.0, "eu", &[])];
        let mut needs = RequiredCapabilities::default();
        needs.add(Capability::Vision);
        let requirements = Requirements { needs: &needs, tokens: 1, only: None };
        let within = |constraints| {
            let format_obstacle = [None; 4];
            let found = eligible(&policy(constraints), requirements, |_| Some(endpoints.iter().zip(format_obstacle)));
            let price = found.specs.first().map(|spec| spec.input_price);
            (price, found.excluded.first().map(|left| left.reason))
        };
        let europe = Constraints { regions: vec!["eu".to_owned()], ..Constraints::default() };
        assert_eq!(within(europe.clone()), (Some(3.0), None));
        let cheap = Constraints { max_input_price: Some(2.5), ..europe };
        assert_eq!(within(cheap), (None, Some(ExclusionReason::Region)), "the first place's reason");
        assert_eq!(within(Constraints::default()), (Some(1.0), None));
    }
}
