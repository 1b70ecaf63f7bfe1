//! Facts about users who have tastes besides weighing quality and cost, in a generated world.
//!
//! Shares are of the way from the model without tastes to choices by task means with preferences and tastes told.

mod world;

use std::ops::RangeInclusive;

use tch::{Kind, Tensor};

use crate::closed_form::ClosedForm;
use crate::closed_form::model::columns::{Column, NewColumn};
use crate::data::Setting;
use crate::export::embedder::Embedder;
use crate::export::{self, ExportOptions};
use crate::model::Model as _;
use crate::model::hparams::Part;
use crate::model::tensors::to_vec;
use crate::train::{self, Trained};

use world::{Feedback, LLMS, Taste, World};

/// Trains without tastes and with them.
fn both(world: &World, feedback: Feedback) -> [ClosedForm; 2] {
    [&[Part::Tastes][..], &[]].map(|without| world.train(feedback, Setting::Rewards, without))
}

/// Returns the share for trained users, and for held-out users after 0, 3, 10 and 20 queries; prints the rewards.
fn shares(taste: Taste, feedback: Feedback, noise: f64) -> (ClosedForm, [f64; 5]) {
    let world = World::new(taste, noise);
    let [line, own] = both(&world, feedback);
    let mut shares = [0.0; 5];
    for (share, rated) in shares.iter_mut().zip([None, Some(0), Some(3), Some(10), Some(20)]) {
        let [single, plain, told] = world.yardsticks(rated.is_some());
        let of = |model: &ClosedForm| match rated {
            None => world.of_trained(model),
            Some(queries) => world.of_held_out(model, queries, feedback),
        };
        let (before, after) = (of(&line), of(&own));
        *share = (after - before) / (told - before);
        println!(
            "| {taste:?} | {noise} | {feedback:?} | {rated:?} | {single:.4} | {plain:.4} | {before:.4} | {after:.4} | {told:.4} |"
        );
    }
    (own, shares)
}

/// Checks the number of tastes, and the shares of trained users and of held-out users after 3, 10 and 20 queries.
fn assert_shares(
    (taste, feedback, noise): (Taste, Feedback, f64),
    tastes: RangeInclusive<i64>,
    [trained, three, ten, twenty]: [f64; 4],
) {
    let (model, found) = shares(taste, feedback, noise);
    assert!(tastes.contains(&model.tastes()), "{} tastes", model.tastes());
    let enough = [trained, f64::NEG_INFINITY, three, ten, twenty];
    assert!(found.iter().zip(enough).all(|(found, enough)| *found >= enough), "{found:?}");
}

#[test]
fn a_second_taste_is_read_from_all_answers() {
    assert_shares((Taste::Style, Feedback::Full, 0.0), 1..=1, [0.9, 0.8, 0.9, 0.9]);
    assert_shares((Taste::Style, Feedback::Full, 0.1), 1..=3, [0.9, 0.7, 0.8, 0.9]);
}

#[test]
fn a_second_taste_is_read_from_single_answers() {
    assert_shares((Taste::Style, Feedback::Bandit, 0.0), 1..=4, [0.9, 0.4, 0.7, 0.8]);
    assert_shares((Taste::Style, Feedback::Bandit, 0.1), 1..=5, [0.7, 0.1, 0.5, 0.6]);
}

#[test]
fn opinions_of_single_llms_are_read_from_all_answers() {
    assert_shares((Taste::Own, Feedback::Full, 0.0), 7..=8, [0.9, 0.9, 0.9, 0.9]);
    assert_shares((Taste::Own, Feedback::Full, 0.1), 6..=8, [0.9, 0.4, 0.7, 0.8]);
}

#[test]
fn opinions_of_single_llms_are_read_from_single_answers() {
    // Three single answers are about three of eight LLMs.
    assert_shares((Taste::Own, Feedback::Bandit, 0.0), 6..=8, [0.8, -0.3, 0.4, 0.6]);
    assert_shares((Taste::Own, Feedback::Bandit, 0.1), 5..=8, [0.5, -0.4, 0.1, 0.4]);
}

#[test]
fn users_without_tastes_are_not_given_any() {
    for noise in [0.0, 0.1] {
        let world = World::new(Taste::None, noise);
        for feedback in [Feedback::Full, Feedback::Bandit] {
            let [line, own] = both(&world, feedback);
            assert_eq!((own.tastes(), own.user_dim()), (0, 1), "{noise} {feedback:?}");
            let (before, after) = (world.of_trained(&line), world.of_trained(&own));
            assert!(after > before - 1e-3, "{noise} {feedback:?}: {after} against {before}");
            assert!(world.misplaced(&own) < 0.05, "{noise} {feedback:?}: {}", world.misplaced(&own));
        }
    }
}

#[test]
fn tastes_are_found_where_effects_and_costs_are_known() {
    for taste in [Taste::Style, Taste::Own] {
        let world = World::new(taste, 0.0);
        let model = world.train(Feedback::Bandit, Setting::EffectCost, &[]);
        let [_, plain, told] = world.yardsticks(false);
        let found = world.of_trained(&model);
        assert!(found > 0.1 * plain + 0.9 * told, "{taste:?}: {plain} {found} {told}");
    }
}

#[test]
fn a_declared_preference_keeps_tastes_and_never_lowers_the_effect() {
    for taste in [Taste::Style, Taste::Own] {
        let world = World::new(taste, 0.0);
        let model = world.train(Feedback::Full, Setting::Rewards, &[]);
        assert!(model.tastes() > 0);
        let place = model.preference_scores(&model.users);
        for user in 0..12 {
            let mut last = vec![f32::NEG_INFINITY; world.test().len()];
            for step in 0..=25 {
                let effects = world::declared_effects(&world, &model, user, f64::from(step) / 25.0);
                assert!(
                    effects.iter().zip(&last).all(|(effect, last)| *effect >= last - 1e-5),
                    "{taste:?} {user} {step}"
                );
                last = effects;
            }
        }
        // Who declares what they are taken to want keeps all of their weights.
        let own = place.iter().position(|place| (0.2..0.45).contains(place)).unwrap();
        let embedding = model.users.narrow(0, own as i64, 1);
        let declared = model.declared(&Tensor::from_slice(&[place[own]]).unsqueeze(1), &embedding);
        let gap = (declared - model.preference_weights(&embedding)).abs().max().double_value(&[]);
        assert!(gap < 1e-5, "{gap}");
    }
}

#[test]
fn a_router_with_tastes_is_saved_exported_and_takes_in_new_llms() {
    let world = World::new(Taste::Own, 0.0);
    let model = world.train(Feedback::Full, Setting::Rewards, &[]);
    let dir = tempfile::tempdir().unwrap();
    model.save(&dir.path().join("run")).unwrap();
    let loaded = train::load(&dir.path().join("run")).unwrap();
    let rated = [world.rated(0, 5, Feedback::Full)];
    assert_eq!(to_vec(&loaded.embed_users(&rated)), to_vec(&model.embed_users(&rated)));
    let mut columns: Vec<Column> = (0..LLMS).map(Column::Known).collect();
    let llm = model.facts.llms[0].clone();
    let new = vec![0.0; model.facts.tasks.len()];
    columns.push(Column::New(NewColumn {
        llm: personaroute_bundle::catalog::Llm { id: "new".to_owned(), ..llm },
        high: new.clone(),
        low: new.clone(),
        deviation: new,
    }));
    let whole = model.with_columns(&columns).unwrap();
    let exported = Trained::ClosedForm(model.with_columns(&columns).unwrap());
    for (model, llms) in [(&loaded, LLMS), (&exported, LLMS + 1)] {
        let bundle = export::write(model, &dir.path().join("bundle"), &ExportOptions::default()).unwrap();
        assert_eq!((bundle.catalog.llms.len(), bundle.manifest.user_dim), (llms, model.user_dim()));
        assert!(personaroute_bundle::folder::Bundle::verify(&bundle.source).is_ok());
        // The parity of an export is of random histories; this one is of somebody.
        let found = Embedder::new(model).unwrap().embed(&rated).unwrap();
        let gap = (found - model.embed_users(&rated)).abs().max().double_value(&[]);
        assert!(gap < 1e-3, "{gap}");
    }
    // A new LLM is to everybody's taste what the others are on average, and users stand where they stood.
    let tastes = |model: &ClosedForm| model.adapter.tastes.as_ref().unwrap().loadings.shallow_clone();
    let gap = tastes(&whole).get(LLMS as i64) - tastes(&model).mean_dim(0, false, Kind::Float);
    assert!(gap.abs().max().double_value(&[]) < 1e-6);
    let places = [&whole, &model].map(|model| model.preference_scores(&model.users));
    assert!(places[0].iter().zip(&places[1]).all(|(a, b)| (a - b).abs() < 1e-5));
}
