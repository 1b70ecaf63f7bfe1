//! Facts about the ranking.

use proptest::prelude::*;

use super::*;
use crate::fake::{candidate, request};

const ZERO: [f32; 3] = [0.0; 3];

fn with_utility(utility: &[f32; 3]) -> Predictions<'_> {
    Predictions { utility, effect: &[0.2, 0.4, 0.6], cost: &[0.1, 0.1, 0.4], uncertainty: &ZERO }
}

fn ids(ranking: &[Score]) -> Vec<&str> {
    ranking.iter().map(|score| score.llm.as_str()).collect()
}

#[test]
fn higher_utility_comes_first() {
    let ranking = rank(&request(&["a", "b", "c"]), &with_utility(&[0.1, 0.9, 0.5])).unwrap();
    assert_eq!(ids(&ranking), ["b", "c", "a"]);
    let b = Score { llm: "b".into(), utility: 0.9, effect: 0.4, cost: 0.1, uncertainty: 0.0, excluded: None };
    assert_eq!(ranking[0], b);
}

#[test]
fn ties_go_to_the_cheaper_and_then_by_id() {
    let mut tied = request(&["c", "b", "a"]);
    tied.candidates[1].output_price = 1.5;
    let ranking = rank(&tied, &with_utility(&[0.0, -0.0, 0.0])).unwrap();
    assert_eq!(ids(&ranking), ["b", "a", "c"]);
}

#[test]
fn prompt_that_leaves_no_room_excludes() {
    let mut small = request(&["a", "b", "c"]);
    small.prompt_tokens = 100;
    small.candidates[1].context_window = Some(100);
    small.candidates[2].context_window = Some(101);
    let ranking = rank(&small, &with_utility(&[0.1, 0.9, 0.5])).unwrap();
    assert_eq!(ids(&ranking), ["c", "a", "b"]);
    assert_eq!(ranking[2].excluded, Some(Exclusion::ContextWindow));
    assert!(ranking[..2].iter().all(|score| score.excluded.is_none()));
}

#[test]
fn unknown_candidate_is_expected_to_be_below_the_mean() {
    let mut partly = request(&["a", "b"]);
    partly.candidates.push(candidate("new", None));
    let ranking = rank(&partly, &with_utility(&[0.2, 0.8, 9.0])).unwrap();
    let new = ranking.iter().find(|score| score.llm == "new").unwrap();
    let expected = [0.2, 0.2, 0.1, 0.3];
    let found = [new.utility, new.effect, new.cost, new.uncertainty];
    assert!(expected.iter().zip(found).all(|(expected, found)| (expected - found).abs() < 1e-6), "{found:?}");
}

#[test]
fn single_known_candidate_comes_before_unknown_ones() {
    let mut partly = request(&["a"]);
    partly.candidates.insert(0, candidate("new", None));
    let predictions = Predictions { uncertainty: &[0.3, 0.0, 0.0], ..with_utility(&[0.5, 0.0, 0.0]) };
    let ranking = rank(&partly, &predictions).unwrap();
    assert_eq!(ids(&ranking), ["a", "new"]);
    assert!((ranking[1].utility - 0.2).abs() < 1e-6);
}

#[test]
fn only_unknown_candidates_are_ranked_by_price() {
    let mut unknown = request(&[]);
    unknown.candidates = vec![candidate("dear", None), candidate("cheap", None)];
    unknown.candidates[1].input_price = 0.1;
    let ranking = rank(&unknown, &with_utility(&[0.3, 0.3, 0.3])).unwrap();
    assert_eq!(ids(&ranking), ["cheap", "dear"]);
    assert!((ranking[0].utility - 0.3).abs() < 1e-6);
}

#[test]
fn prediction_that_is_not_finite_is_an_error() {
    let refused = rank(&request(&["a", "b"]), &with_utility(&[0.1, f32::NAN, 0.5]));
    assert_eq!(refused, Err(RoutingError::Inference("scorer: utility of column 1 is not finite".into())));
    assert!(rank(&request(&["a"]), &with_utility(&[0.1, f32::NAN, 0.5])).is_ok());
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let column = prop_oneof![(0_u32..3).prop_map(Some), Just(None)];
    let numbers = (0.0_f32..9.0, 0.0_f32..9.0, prop::option::of(0_u32..20));
    (column, numbers).prop_map(|(column, (input_price, output_price, context_window))| Candidate {
        input_price,
        output_price,
        context_window,
        ..candidate("", column)
    })
}

proptest! {
    #[test]
    fn every_candidate_is_ranked_once_in_one_order(
        mut candidates in prop::collection::vec(any_candidate(), 1..12),
        utility in prop::array::uniform3(prop_oneof![Just(0.0_f32), -1e38_f32..1e38]),
        uncertainty in prop::array::uniform3(-1.0_f32..1e38),
        rotation in 0_usize..12,
    ) {
        for (idx, candidate) in candidates.iter_mut().enumerate() {
            candidate.llm = format!("llm{idx}");
        }
        let predictions = Predictions { uncertainty: &uncertainty, ..with_utility(&utility) };
        let mut request = Request { candidates, prompt_tokens: 10, ..request(&[]) };
        let ranking = rank(&request, &predictions).unwrap();
        let mut ranked = ids(&ranking);
        ranked.sort_unstable();
        let mut expected: Vec<&str> = request.candidates.iter().map(|candidate| candidate.llm.as_str()).collect();
        expected.sort_unstable();
        prop_assert_eq!(ranked, expected);
        for score in &ranking {
            prop_assert!([score.utility, score.effect, score.cost, score.uncertainty].iter().all(|value| value.is_finite()));
            prop_assert!(score.uncertainty >= 0.0);
        }
        let excluded = ranking.iter().map(|score| score.excluded.is_some());
        prop_assert!(excluded.is_sorted());
        let n_candidates = request.candidates.len();
        request.candidates.rotate_left(rotation % n_candidates);
        let rotated = rank(&request, &predictions).unwrap();
        prop_assert_eq!(ids(&rotated), ids(&ranking));
    }
}
