//! Each kind of invalid decision is refused with its own fault.

use proptest::prelude::*;

use super::*;
use crate::{
    UserState,
    bindings::{
        exports::personaroute::router::routing::{ExcludedCandidate, Exclusion},
        personaroute::router::users,
    },
};

fn candidates(count: usize) -> Vec<Candidate> {
    let candidate =
        |idx| Candidate { llm: format!("llm-{idx}").into(), input_price: 1.0, output_price: 1.0, context_window: None };
    (0..count).map(candidate).collect()
}

fn valid(candidates: &[Candidate]) -> Decision {
    let count = candidates.len();
    let ranking = Ranking {
        order: (0..).take(count).collect(),
        utilities: vec![0.5; count],
        effects: vec![0.5; count],
        costs: vec![0.5; count],
        uncertainties: vec![0.1; count],
        excluded: Vec::new(),
    };
    Decision { ranking, user_state: users::UserState::New, task: None, why: String::new() }
}

/// What is wrong with a decision that `change` has changed, on two candidates.
fn fault(change: impl FnOnce(&mut Decision)) -> DecisionFault {
    let candidates = candidates(2);
    let mut lie = valid(&candidates);
    change(&mut lie);
    decision(&lie, &candidates).unwrap_err()
}

#[test]
fn a_valid_decision_passes_whatever_its_size() {
    for count in [1, 2, 1000] {
        let candidates = candidates(count);
        assert_eq!(decision(&valid(&candidates), &candidates), Ok(()));
    }
}

#[test]
fn a_missing_candidate_is_named() {
    let missing = |llm: &str| DecisionFault::MissingCandidate(llm.to_owned());
    assert_eq!(fault(|lie| lie.ranking.order.truncate(1)), missing("llm-1"));
    assert_eq!(fault(|lie| lie.ranking.order.clear()), missing("llm-0"));
}

#[test]
fn an_invented_candidate_is_named() {
    assert_eq!(fault(|lie| lie.ranking.order[1] = 2), DecisionFault::UnknownCandidate(2));
    assert_eq!(fault(|lie| lie.ranking.order.push(u32::MAX)), DecisionFault::UnknownCandidate(u32::MAX));
    let out = |candidate| ExcludedCandidate { candidate, reason: Exclusion::ContextWindow };
    assert_eq!(fault(|lie| lie.ranking.excluded.push(out(7))), DecisionFault::UnknownCandidate(7));
}

#[test]
fn a_candidate_ranked_or_excluded_twice_is_named() {
    let twice = DecisionFault::DuplicateCandidate("llm-0".to_owned());
    assert_eq!(fault(|lie| lie.ranking.order[1] = 0), twice);
    let out = ExcludedCandidate { candidate: 0, reason: Exclusion::ContextWindow };
    assert_eq!(fault(|lie| lie.ranking.excluded = vec![out; 2]), twice);
}

#[test]
fn there_is_one_score_for_each_candidate() {
    let too_few = DecisionFault::ScoreCount { field: "effect", expected: 2, got: 1 };
    assert_eq!(fault(|lie| lie.ranking.effects.truncate(1)), too_few);
    let too_many = DecisionFault::ScoreCount { field: "cost", expected: 2, got: 3 };
    assert_eq!(fault(|lie| lie.ranking.costs.push(0.5)), too_many);
}

#[test]
fn scores_that_are_not_finite_are_named() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let not_finite = DecisionFault::NotFinite { llm: "llm-0".to_owned(), field: "cost" };
        assert_eq!(fault(|lie| lie.ranking.costs[0] = value), not_finite);
    }
}

#[test]
fn ranges_and_lengths_hold() {
    let fault = |change: fn(&mut Decision)| fault(change).to_string();
    assert_eq!(fault(|lie| lie.ranking.uncertainties[0] = -1.0), "uncertainty is out of range");
    assert_eq!(fault(|lie| lie.why = "x".repeat(MAX_WHY + 1)), "why is too long");
    assert_eq!(
        fault(|lie| lie.task = Some(TaskGuess { task: "x".repeat(MAX_TASK + 1), probability: 1.0 })),
        "task is too long"
    );
    assert_eq!(
        fault(|lie| lie.task = Some(TaskGuess { task: "math".to_owned(), probability: f32::NAN })),
        "task probability is out of range"
    );
}

#[test]
fn an_adapted_profile_has_the_dimension_of_the_bundle() {
    let adapted = |embedding: Vec<f32>, preference| Profile {
        embedding,
        state: UserState::Adapted,
        interactions: 3,
        preference,
        certainty: 0.5,
    };
    assert_eq!(profile(&adapted(vec![0.0; 4], Some(0.5)), 4), Ok(()));
    assert_eq!(profile(&adapted(vec![0.0; 3], None), 4), Err(DecisionFault::ProfileDim { expected: 4, got: 3 }));
    let nan = profile(&adapted(vec![f32::NAN; 4], None), 4);
    assert_eq!(nan, Err(DecisionFault::OutOfRange { field: "embedding" }));
    let preference = profile(&adapted(vec![0.0; 4], Some(1.5)), 4);
    assert_eq!(preference, Err(DecisionFault::OutOfRange { field: "preference" }));
    let certainty = profile(&Profile { certainty: f32::NAN, ..adapted(vec![0.0; 4], None) }, 4);
    assert_eq!(certainty, Err(DecisionFault::OutOfRange { field: "certainty" }));
}

proptest! {
    #[test]
    fn only_permutations_pass(count in 1_u32..50, picks in prop::collection::vec(0_u32..50, 1..50)) {
        let candidates = candidates(count as usize);
        let mut lie = valid(&candidates);
        lie.ranking.order.clone_from(&picks);
        let mut sorted = picks;
        sorted.sort_unstable();
        prop_assert_eq!(decision(&lie, &candidates).is_ok(), sorted == (0..count).collect::<Vec<_>>());
    }
}
