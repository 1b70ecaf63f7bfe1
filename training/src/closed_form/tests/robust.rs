//! Facts about runs on data that is noisy, contradictory, lopsided or full of holes.

use ndarray::Array3;

use crate::closed_form::tests::{best_single, reward};
use crate::data::{Interaction, Setting};
use crate::fixture::Fixture;
use crate::model::TaskInput;
use crate::model::rng::Rng;
use crate::model::tensors::single;

/// Trains on interactions as `rewrite` leaves them, and returns all users' utilities of the test queries.
fn utilities(fixture: &mut Fixture, mut rewrite: impl FnMut(usize, Interaction) -> Vec<Interaction>) -> Array3<f32> {
    let before = std::mem::take(&mut fixture.interactions);
    let after = &mut fixture.interactions;
    after.offsets.push(0);
    for (user, span) in before.offsets.windows(2).enumerate() {
        after.entries.extend(before.entries[span[0]..span[1]].iter().flat_map(|entry| rewrite(user, *entry)));
        after.offsets.push(after.entries.len());
    }
    after.users = before.users;
    let dir = tempfile::tempdir().unwrap();
    let model = fixture.train(dir.path(), Setting::Rewards, false, None).unwrap();
    let utilities = fixture.utilities(&model, &model.users, TaskInput::Declared);
    assert!(utilities.iter().all(|utility| utility.is_finite()));
    utilities
}

#[test]
fn noisy_rewards_still_beat_each_users_best_single_llm() {
    let mut fixture = Fixture::new();
    let mut rng = Rng::new(21, &[]);
    let noisy = utilities(&mut fixture, |_, entry| {
        vec![Interaction { value: entry.value + single(0.1 * rng.normal()), ..entry }]
    });
    let (routed, single) = (reward(&fixture, &noisy), best_single(&fixture));
    assert!(routed > single, "{routed} against {single}");
}

#[test]
fn users_who_contradict_themselves_do_not_spoil_the_others() {
    let mut fixture = Fixture::new();
    let mut rng = Rng::new(22, &[]);
    let mixed = utilities(&mut fixture, |user, entry| {
        let value = if user % 4 == 1 { single(rng.normal()) } else { entry.value };
        vec![Interaction { value, ..entry }]
    });
    // The best single LLM of every user is found from true rewards, those of the contradictory included.
    let honest: Vec<usize> = (0..fixture.preferences.len()).filter(|user| user % 4 != 1).collect();
    let kept = mixed.select(ndarray::Axis(0), &honest);
    fixture.preferences = honest.iter().map(|&user| fixture.preferences[user]).collect();
    let (routed, single) = (reward(&fixture, &kept), best_single(&fixture));
    assert!(routed > single, "{routed} against {single}");
}

#[test]
fn a_task_with_one_query_and_a_rare_one_lose_little() {
    let mut fixture = Fixture::new();
    // Task 2 keeps one query, task 1 four of its fifty.
    let lopsided = utilities(&mut fixture, |_, entry| match entry.query % 3 {
        2 if entry.query != 5 => Vec::new(),
        1 if entry.query > 24 => Vec::new(),
        _ => vec![entry],
    });
    let (routed, single) = (reward(&fixture, &lopsided), best_single(&fixture));
    assert!(routed > single - 0.02, "{routed} against {single}");
}

#[test]
fn an_llm_with_one_rating_is_not_preferred() {
    let mut fixture = Fixture::new();
    let mut kept = false;
    let scarce = utilities(&mut fixture, |_, entry| {
        let keep = entry.llm != 1 || !std::mem::replace(&mut kept, true);
        if keep { vec![entry] } else { Vec::new() }
    });
    let (routed, single) = (reward(&fixture, &scarce), best_single(&fixture));
    assert!(routed > single - 0.02, "{routed} against {single}");
}

#[test]
fn duplicates_change_hardly_a_choice() {
    let choices = |utilities: &Array3<f32>| -> Vec<usize> {
        let best =
            |row: ndarray::ArrayView1<'_, f32>| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        utilities.lanes(ndarray::Axis(2)).into_iter().map(best).collect()
    };
    let once = choices(&utilities(&mut Fixture::new(), |_, entry| vec![entry]));
    let twice = choices(&utilities(&mut Fixture::new(), |_, entry| vec![entry, entry]));
    let differing = once.iter().zip(&twice).filter(|(a, b)| a != b).count();
    assert!(differing * 50 < once.len(), "{differing} of {}", once.len());
}

#[test]
fn two_ratings_of_three_may_be_missing() {
    let mut fixture = Fixture::new();
    let mut rng = Rng::new(23, &[]);
    let sparse = utilities(&mut fixture, |_, entry| if rng.index(3) == 0 { vec![entry] } else { Vec::new() });
    let (routed, single) = (reward(&fixture, &sparse), best_single(&fixture));
    assert!(routed > single, "{routed} against {single}");
}
