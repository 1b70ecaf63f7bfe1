//! Facts about the ranking.

use proptest::prelude::*;

use super::*;
use crate::fake::{ids, request};

const ZERO: [f32; 3] = [0.0; 3];

fn with_utility(utility: &[f32; 3]) -> Predictions<'_> {
    Predictions { utility, effect: &[0.2, 0.4, 0.6], cost: &[0.1, 0.1, 0.4], uncertainty: &ZERO }
}

#[test]
fn higher_utility_comes_first() {
    let request = request(&["a", "b", "c"]);
    let ranking = rank(&request, &with_utility(&[0.1, 0.9, 0.5])).unwrap();
    assert_eq!(ids(&request, &ranking), ["b", "c", "a"]);
    let expected = Ranking {
        order: vec![1, 2, 0],
        utilities: vec![0.1, 0.9, 0.5],
        effects: vec![0.2, 0.4, 0.6],
        costs: vec![0.1, 0.1, 0.4],
        uncertainties: vec![0.0; 3],
        excluded: Vec::new(),
    };
    assert_eq!(ranking, expected);
}

#[test]
fn scores_are_of_the_candidates_columns() {
    let mut swapped = request(&["a", "b"]);
    swapped.candidates.columns = vec![2, 0];
    let ranking = rank(&swapped, &with_utility(&[0.1, 0.9, 0.5])).unwrap();
    assert_eq!((ranking.utilities, ranking.effects), (vec![0.5, 0.1], vec![0.6, 0.2]));
}

#[test]
fn ties_go_to_the_cheaper_and_then_by_id() {
    let mut tied = request(&["c", "b", "a"]);
    tied.candidates.output_prices[1] = 1.5;
    let ranking = rank(&tied, &with_utility(&[0.0, -0.0, 0.0])).unwrap();
    assert_eq!(ids(&tied, &ranking), ["b", "a", "c"]);
}

#[test]
fn prompt_that_leaves_no_room_excludes() {
    let mut small = request(&["a", "b", "c"]);
    small.prompt_tokens = 100;
    small.candidates.context_windows[1] = 100;
    small.candidates.context_windows[2] = 101;
    let ranking = rank(&small, &with_utility(&[0.1, 0.9, 0.5])).unwrap();
    assert_eq!(ids(&small, &ranking), ["c", "a", "b"]);
    assert_eq!(ranking.excluded, [(1, Exclusion::ContextWindow)]);
}

#[test]
fn unknown_candidate_is_expected_to_be_below_the_mean() {
    let mut partly = request(&["a", "b"]);
    partly.candidates.push("new", None);
    let new = rank(&partly, &with_utility(&[0.2, 0.8, 9.0])).unwrap();
    let expected = [0.2, 0.2, 0.1, 0.3];
    let found = [new.utilities[2], new.effects[2], new.costs[2], new.uncertainties[2]];
    assert!(expected.iter().zip(found).all(|(expected, found)| (expected - found).abs() < 1e-6), "{found:?}");
}

#[test]
fn single_known_candidate_comes_before_unknown_ones() {
    let mut partly = request(&["a"]);
    partly.candidates.push("new", None);
    partly.candidates.columns.reverse();
    let predictions = Predictions { uncertainty: &[0.3, 0.0, 0.0], ..with_utility(&[0.5, 0.0, 0.0]) };
    let ranking = rank(&partly, &predictions).unwrap();
    assert_eq!(ids(&partly, &ranking), ["new", "a"], "the second is the known one");
    assert!((ranking.utilities[0] - 0.2).abs() < 1e-6);
}

#[test]
fn only_unknown_candidates_are_ranked_by_price() {
    let mut unknown = request(&[]);
    unknown.candidates.push("dear", None);
    unknown.candidates.push("cheap", None);
    unknown.candidates.input_prices[1] = 0.1;
    let ranking = rank(&unknown, &with_utility(&[0.3, 0.3, 0.3])).unwrap();
    assert_eq!(ids(&unknown, &ranking), ["cheap", "dear"]);
    assert!((ranking.utilities[0] - 0.3).abs() < 1e-6);
}

#[test]
fn prediction_that_is_not_finite_is_an_error() {
    let refused = rank(&request(&["a", "b"]), &with_utility(&[0.1, f32::NAN, 0.5]));
    assert_eq!(refused, Err(RoutingError::Inference("scorer: utility of column 1 is not finite".into())));
    assert!(rank(&request(&["a"]), &with_utility(&[0.1, f32::NAN, 0.5])).is_ok());
}

/// Column, prices and context window of a candidate.
type Facts = (Option<u32>, f32, f32, Option<u32>);

fn any_candidate() -> impl Strategy<Value = Facts> {
    let column = prop_oneof![(0_u32..3).prop_map(Some), Just(None)];
    (column, 0.0_f32..9.0, 0.0_f32..9.0, prop::option::of(0_u32..20))
}

/// A request with these candidates, which keep their names when `rotation` of them go to the end.
fn rotated(facts: &[Facts], rotation: usize) -> Request {
    let mut request = Request { prompt_tokens: 10, ..request(&[]) };
    let mut named: Vec<_> = facts.iter().enumerate().collect();
    named.rotate_left(rotation % facts.len());
    for (idx, (column, input_price, output_price, window)) in named {
        request.candidates.push(&format!("llm{idx}"), *column);
        let position = request.candidates.len() - 1;
        request.candidates.input_prices[position] = *input_price;
        request.candidates.output_prices[position] = *output_price;
        request.candidates.context_windows[position] = window.unwrap_or(NONE);
    }
    request
}

proptest! {
    #[test]
    fn every_candidate_is_ranked_once_in_one_order(
        facts in prop::collection::vec(any_candidate(), 1..12),
        utility in prop::array::uniform3(prop_oneof![Just(0.0_f32), -1e38_f32..1e38]),
        uncertainty in prop::array::uniform3(-1.0_f32..1e38),
        rotation in 0_usize..12,
    ) {
        let predictions = Predictions { uncertainty: &uncertainty, ..with_utility(&utility) };
        let request = rotated(&facts, 0);
        let ranking = rank(&request, &predictions).unwrap();
        let mut positions = ranking.order.clone();
        positions.sort_unstable();
        prop_assert!(positions.into_iter().eq((0..).take(facts.len())));
        for scores in [&ranking.utilities, &ranking.effects, &ranking.costs, &ranking.uncertainties] {
            prop_assert!(scores.len() == facts.len() && scores.iter().all(|value| value.is_finite()));
        }
        prop_assert!(ranking.uncertainties.iter().all(|value| *value >= 0.0));
        let is_excluded = |position: &u32| ranking.excluded.iter().any(|(excluded, _)| excluded == position);
        prop_assert!(ranking.order.iter().map(is_excluded).is_sorted());
        let usable = &ranking.order[..facts.len() - ranking.excluded.len()];
        prop_assert!(usable.iter().map(|position| -ranking.utilities[*position as usize]).is_sorted());
        let again = rotated(&facts, rotation);
        prop_assert_eq!(ids(&again, &rank(&again, &predictions).unwrap()), ids(&request, &ranking));
    }

    #[test]
    fn keys_are_ordered_against_their_values(left in -1e38_f32..1e38, right in -1e38_f32..1e38) {
        prop_assert_eq!(left > right, descending(left) < descending(right));
    }
}
