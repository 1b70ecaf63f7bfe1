//! The plan of a request: which LLMs are tried, in which order, and why.

use std::{sync::Arc, time::Duration};

use personaroute_host::{Decision, RouteError, Score, TaskGuess, UserState};

use super::{Eligible, ExcludedCandidate, ExclusionReason, Explore, FallbackReason, Learned, Policy, fallback};

/// The decision on one request.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The id of the decision in headers, logs and feedback.
    pub id: String,
    /// The requested virtual model; none if the request names an LLM.
    pub virtual_model: Option<Arc<str>>,
    /// The LLMs to try, best first; never empty.
    pub ranking: Vec<Ranked>,
    /// Candidates that cannot serve the request.
    pub excluded: Vec<ExcludedCandidate>,
    /// How much the router knows about the user; none if the router was not called.
    pub user_state: Option<UserState>,
    /// The declared or most probable task.
    pub task: Option<TaskGuess>,
    /// The reason for the decision, in one sentence.
    pub why: String,
    /// Whether the conversation kept its LLM (stickiness).
    pub kept: bool,
    /// How the chosen LLM was explored; none if it is the router's best, or kept.
    pub explored: Option<Explore>,
    /// What the user's signals have changed; none without signals or declared preference.
    pub learned: Option<Learned>,
    /// Why the fallback order was used instead of the router's ranking.
    pub fallback_reason: Option<FallbackReason>,
    /// The duration of the decision.
    pub elapsed: Duration,
}

/// One ranked candidate.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// The LLM.
    pub llm: Arc<str>,
    /// Its scores; none if the router was not called.
    pub score: Option<Score>,
}

impl Plan {
    /// Returns the plan of a request that names an LLM.
    pub fn concrete(id: String, llm: Arc<str>) -> Self {
        Self {
            id,
            virtual_model: None,
            ranking: vec![Ranked { llm, score: None }],
            excluded: Vec::new(),
            user_state: None,
            task: None,
            why: "the request named this LLM".to_owned(),
            kept: false,
            explored: None,
            learned: None,
            fallback_reason: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Returns the plan for the router's `decision` on `eligible`.
    pub fn routed(id: String, policy: &Policy, eligible: Eligible<'_>, decision: Decision) -> Self {
        let mut ranking = Vec::with_capacity(decision.ranking.len());
        let mut excluded = eligible.excluded;
        for score in decision.ranking {
            let llm = Arc::clone(&score.llm);
            match score.excluded {
                Some(_) => excluded.push(ExcludedCandidate { llm, reason: ExclusionReason::ContextWindow }),
                None => ranking.push(Ranked { llm, score: Some(score) }),
            }
        }
        Self {
            id,
            virtual_model: Some(Arc::clone(&policy.name)),
            ranking,
            excluded,
            user_state: Some(decision.user_state),
            task: decision.task,
            why: decision.why,
            kept: false,
            explored: None,
            learned: None,
            fallback_reason: None,
            elapsed: decision.elapsed,
        }
    }

    /// Returns the plan in the fallback order of `policy`.
    pub fn fallback(id: String, policy: &Policy, eligible: Eligible<'_>, reason: FallbackReason) -> Self {
        let order = fallback::fallback_order(policy, &eligible.specs);
        Self {
            id,
            virtual_model: Some(Arc::clone(&policy.name)),
            ranking: order.into_iter().map(|llm| Ranked { llm, score: None }).collect(),
            excluded: eligible.excluded,
            user_state: None,
            task: None,
            why: format!("the configured fallback order was used: {}", reason.as_str().replace('_', " ")),
            kept: false,
            explored: None,
            learned: None,
            fallback_reason: Some(reason),
            elapsed: Duration::ZERO,
        }
    }

    /// Returns the plan of a turn without new user text: `llm` first, then the others in the fallback order of `policy`.
    pub fn continued(id: String, policy: &Policy, eligible: Eligible<'_>, llm: &str) -> Self {
        let mut ranking: Vec<Ranked> = fallback::fallback_order(policy, &eligible.specs)
            .into_iter()
            .map(|llm| Ranked { llm, score: None })
            .collect();
        ranking.sort_by_key(|ranked| *ranked.llm != *llm);
        Self {
            id,
            virtual_model: Some(Arc::clone(&policy.name)),
            ranking,
            excluded: eligible.excluded,
            user_state: None,
            task: None,
            why: format!("the conversation continues with {llm}: the turn has no new user text"),
            kept: true,
            explored: None,
            learned: None,
            fallback_reason: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Moves `llm`, the LLM of the conversation, to the front unless another utility is more than `margin` higher.
    pub fn apply_stickiness(&mut self, llm: &str, margin: f32) {
        let utility = |ranked: &Ranked| ranked.score.as_ref().map(|score| score.utility);
        let Some(best) = self.ranking.first().and_then(utility) else {
            return;
        };
        let Some(place) = self.ranking.iter().position(|ranked| *ranked.llm == *llm) else {
            return;
        };
        let is_close = self.ranking.get(place).and_then(utility).is_some_and(|own| best - own <= margin);
        if is_close {
            self.kept = true;
            if let Some(ranks) = self.ranking.get_mut(..=place).filter(|_| place > 0) {
                ranks.rotate_right(1);
                self.why = format!("the conversation keeps {llm}, within {margin} of the best; {}", self.why);
            }
        }
    }

    /// Returns the LLM that is tried first.
    pub fn chosen(&self) -> Option<&Ranked> {
        self.ranking.first()
    }
}

impl From<&RouteError> for FallbackReason {
    fn from(error: &RouteError) -> Self {
        match error {
            RouteError::InvalidRequest(_) => Self::InvalidRequest,
            RouteError::Timeout => Self::Timeout,
            RouteError::Trapped { .. } => Self::Trapped,
            RouteError::OutOfMemory => Self::OutOfMemory,
            RouteError::InvalidDecision(_) => Self::InvalidDecision,
            RouteError::Inference(_) => Self::Inference,
            RouteError::Overloaded => Self::Overloaded,
            RouteError::Plugin(_) => Self::Plugin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(utilities: &[(&str, f32)]) -> Plan {
        let ranked = |(llm, utility): &(&str, f32)| Ranked {
            llm: Arc::from(*llm),
            score: Some(Score {
                llm: Arc::from(*llm),
                utility: *utility,
                effect: 0.0,
                cost: 0.0,
                uncertainty: 0.0,
                excluded: None,
            }),
        };
        Plan { ranking: utilities.iter().map(ranked).collect(), ..Plan::concrete("d".to_owned(), Arc::from("x")) }
    }

    fn order(plan: &Plan) -> Vec<&str> {
        plan.ranking.iter().map(|ranked| &*ranked.llm).collect()
    }

    #[test]
    fn a_conversation_keeps_its_llm_within_the_margin_only() {
        let utilities = [("a", 0.5), ("b", 0.49), ("c", 0.3)];
        let mut kept = plan(&utilities);
        kept.apply_stickiness("b", 0.02);
        assert_eq!((order(&kept), kept.kept), (vec!["b", "a", "c"], true));
        let mut switched = plan(&utilities);
        switched.apply_stickiness("c", 0.02);
        assert_eq!((order(&switched), switched.kept), (vec!["a", "b", "c"], false));
        let mut gone = plan(&utilities);
        gone.apply_stickiness("d", 1.0);
        assert_eq!(order(&gone), ["a", "b", "c"]);
    }
}
