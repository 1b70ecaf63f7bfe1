//! Each way in which a decision can be wrong is named.

use proptest::prelude::*;

use super::*;
use crate::{UserState, component::bindings::personaroute::router::users};

fn candidates(count: usize) -> Vec<Candidate> {
    let candidate =
        |idx| Candidate { llm: format!("llm-{idx}"), input_price: 1.0, output_price: 1.0, context_window: None };
    (0..count).map(candidate).collect()
}

fn honest(candidates: &[Candidate]) -> Decision {
    let score = |candidate: &Candidate| Score {
        llm: candidate.llm.clone(),
        utility: 0.5,
        effect: 0.5,
        cost: 0.5,
        uncertainty: 0.1,
        excluded: None,
    };
    Decision {
        ranking: candidates.iter().map(score).collect(),
        user_state: users::UserState::New,
        task: None,
        why: String::new(),
    }
}

#[test]
fn an_honest_decision_passes_whatever_its_size() {
    for count in [1, SCAN, SCAN + 1, 1000] {
        let candidates = candidates(count);
        assert_eq!(decision(&honest(&candidates), &candidates), Ok(()));
    }
}

#[test]
fn a_missing_candidate_is_named() {
    for count in [2, SCAN + 2] {
        let candidates = candidates(count);
        let mut lie = honest(&candidates);
        lie.ranking.remove(1);
        assert_eq!(decision(&lie, &candidates), Err(DecisionFault::MissingCandidate("llm-1".to_owned())));
    }
}

#[test]
fn an_invented_candidate_is_named() {
    let candidates = candidates(2);
    let mut lie = honest(&candidates);
    lie.ranking[1].llm = "gpt-nine".to_owned();
    assert_eq!(decision(&lie, &candidates), Err(DecisionFault::UnknownCandidate("gpt-nine".to_owned())));
}

#[test]
fn a_candidate_ranked_twice_is_named() {
    let candidates = candidates(2);
    let mut lie = honest(&candidates);
    lie.ranking[1].llm = "llm-0".to_owned();
    assert_eq!(decision(&lie, &candidates), Err(DecisionFault::DuplicateCandidate("llm-0".to_owned())));
}

#[test]
fn scores_that_are_not_finite_are_named() {
    let candidates = candidates(1);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut lie = honest(&candidates);
        lie.ranking[0].cost = value;
        let fault = DecisionFault::NotFinite { llm: "llm-0".to_owned(), field: "cost" };
        assert_eq!(decision(&lie, &candidates), Err(fault));
    }
}

#[test]
fn ranges_and_lengths_hold() {
    let candidates = candidates(1);
    let fault = |change: fn(&mut Decision)| {
        let mut lie = honest(&candidates);
        change(&mut lie);
        decision(&lie, &candidates).unwrap_err().to_string()
    };
    assert_eq!(fault(|lie| lie.ranking[0].uncertainty = -1.0), "uncertainty is out of range");
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
    let adapted =
        |embedding: Vec<f32>, preference| Profile { embedding, state: UserState::Adapted, interactions: 3, preference };
    assert_eq!(profile(&adapted(vec![0.0; 4], Some(0.5)), 4), Ok(()));
    assert_eq!(profile(&adapted(vec![0.0; 3], None), 4), Err(DecisionFault::ProfileDim { expected: 4, got: 3 }));
    let nan = profile(&adapted(vec![f32::NAN; 4], None), 4);
    assert_eq!(nan, Err(DecisionFault::OutOfRange { field: "embedding" }));
    let preference = profile(&adapted(vec![0.0; 4], Some(1.5)), 4);
    assert_eq!(preference, Err(DecisionFault::OutOfRange { field: "preference" }));
}

proptest! {
    #[test]
    fn only_permutations_pass(count in 1_usize..50, picks in prop::collection::vec(0_usize..50, 1..50)) {
        let candidates = candidates(count);
        let mut lie = honest(&candidates);
        let template = lie.ranking[0].clone();
        lie.ranking = picks.iter().map(|pick| Score { llm: format!("llm-{pick}"), ..template.clone() }).collect();
        let mut sorted = picks;
        sorted.sort_unstable();
        prop_assert_eq!(decision(&lie, &candidates).is_ok(), sorted == (0..count).collect::<Vec<_>>());
    }
}
