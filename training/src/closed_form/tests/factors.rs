//! Facts about users whose opinions of LLMs differ beyond effect and cost, in a generated world.
//!
//! Shares are of the way from the model without factors to choices by task means with known preferences and opinions.

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

use world::{Feedback, LLMS, Opinion, World};

/// Trains without factors and with them.
fn both(world: &World, feedback: Feedback) -> [ClosedForm; 2] {
    [&[Part::Factors][..], &[]].map(|without| world.train(feedback, Setting::Rewards, without))
}

/// Returns the share for trained users, and for held-out users after 0, 3, 10 and 20 queries; prints the rewards.
fn shares(opinion: Opinion, feedback: Feedback, noise: f64) -> (ClosedForm, [f64; 5]) {
    let world = World::new(opinion, noise);
    let [without, with] = both(&world, feedback);
    let mut shares = [0.0; 5];
    for (share, rated) in shares.iter_mut().zip([None, Some(0), Some(3), Some(10), Some(20)]) {
        let [single, means, known] = world.references(rated.is_some());
        let of = |model: &ClosedForm| match rated {
            None => world.of_trained(model),
            Some(queries) => world.of_held_out(model, queries, feedback),
        };
        let (before, after) = (of(&without), of(&with));
        *share = (after - before) / (known - before);
        println!(
            "| {opinion:?} | {noise} | {feedback:?} | {rated:?} | {single:.4} | {means:.4} | {before:.4} | {after:.4} | {known:.4} |"
        );
    }
    (with, shares)
}

/// Checks the number of factors, and the shares of trained users and of held-out users after 3, 10 and 20 queries.
fn assert_shares(
    (opinion, feedback, noise): (Opinion, Feedback, f64),
    factors: RangeInclusive<i64>,
    [trained, three, ten, twenty]: [f64; 4],
) {
    let (model, found) = shares(opinion, feedback, noise);
    assert!(factors.contains(&model.factors()), "{} factors", model.factors());
    let enough = [trained, f64::NEG_INFINITY, three, ten, twenty];
    assert!(found.iter().zip(enough).all(|(found, enough)| *found >= enough), "{found:?}");
}

#[test]
fn one_factor_is_estimated_from_all_answers() {
    assert_shares((Opinion::Style, Feedback::Full, 0.0), 1..=1, [0.9, 0.8, 0.9, 0.9]);
    assert_shares((Opinion::Style, Feedback::Full, 0.1), 1..=3, [0.9, 0.7, 0.8, 0.9]);
}

#[test]
fn one_factor_is_estimated_from_single_answers() {
    assert_shares((Opinion::Style, Feedback::Bandit, 0.0), 1..=4, [0.9, 0.4, 0.7, 0.8]);
    assert_shares((Opinion::Style, Feedback::Bandit, 0.1), 1..=5, [0.7, 0.1, 0.5, 0.6]);
}

#[test]
fn opinions_of_single_llms_are_estimated_from_all_answers() {
    assert_shares((Opinion::PerLlm, Feedback::Full, 0.0), 7..=8, [0.9, 0.9, 0.9, 0.9]);
    assert_shares((Opinion::PerLlm, Feedback::Full, 0.1), 6..=8, [0.9, 0.4, 0.7, 0.8]);
}

#[test]
fn opinions_of_single_llms_are_estimated_from_single_answers() {
    // Three single answers are about three of eight LLMs.
    assert_shares((Opinion::PerLlm, Feedback::Bandit, 0.0), 6..=8, [0.8, -0.3, 0.4, 0.6]);
    assert_shares((Opinion::PerLlm, Feedback::Bandit, 0.1), 5..=8, [0.5, -0.4, 0.1, 0.4]);
}

#[test]
fn users_without_opinions_get_no_factors() {
    for noise in [0.0, 0.1] {
        let world = World::new(Opinion::None, noise);
        for feedback in [Feedback::Full, Feedback::Bandit] {
            let [without, with] = both(&world, feedback);
            assert_eq!((with.factors(), with.user_dim()), (0, 1), "{noise} {feedback:?}");
            let (before, after) = (world.of_trained(&without), world.of_trained(&with));
            assert!(after > before - 1e-3, "{noise} {feedback:?}: {after} against {before}");
            assert!(world.score_error(&with) < 0.05, "{noise} {feedback:?}: {}", world.score_error(&with));
        }
    }
}

#[test]
fn factors_are_found_where_effects_and_costs_are_known() {
    for opinion in [Opinion::Style, Opinion::PerLlm] {
        let world = World::new(opinion, 0.0);
        let model = world.train(Feedback::Bandit, Setting::EffectCost, &[]);
        let [_, means, known] = world.references(false);
        let found = world.of_trained(&model);
        assert!(found > 0.1 * means + 0.9 * known, "{opinion:?}: {means} {found} {known}");
    }
}

#[test]
fn a_declared_preference_keeps_factors_and_never_lowers_the_effect() {
    for opinion in [Opinion::Style, Opinion::PerLlm] {
        let world = World::new(opinion, 0.0);
        let model = world.train(Feedback::Full, Setting::Rewards, &[]);
        assert!(model.factors() > 0);
        let scores = model.preference_scores(&model.users);
        for user in 0..12 {
            let mut last = vec![f32::NEG_INFINITY; world.test().len()];
            for step in 0..=25 {
                let effects = world::declared_effects(&world, &model, user, f64::from(step) / 25.0);
                assert!(
                    effects.iter().zip(&last).all(|(effect, last)| *effect >= last - 1e-5),
                    "{opinion:?} {user} {step}"
                );
                last = effects;
            }
        }
        // Declaring the estimated preference changes no weight.
        let with = scores.iter().position(|scores| (0.2..0.45).contains(scores)).unwrap();
        let embedding = model.users.narrow(0, with as i64, 1);
        let declared = model.declared(&Tensor::from_slice(&[scores[with]]).unsqueeze(1), &embedding);
        let gap = (declared - model.preference_weights(&embedding)).abs().max().double_value(&[]);
        assert!(gap < 1e-5, "{gap}");
    }
}

#[test]
fn a_model_with_factors_is_saved_exported_and_extended() {
    let world = World::new(Opinion::PerLlm, 0.0);
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
        effect: new.clone(),
        cost: new.clone(),
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
    // A new LLM has the mean loadings of the others, and users keep their preference scores.
    let factors = |model: &ClosedForm| model.adapter.loadings.as_ref().unwrap().table.shallow_clone();
    let gap = factors(&whole).get(LLMS as i64) - factors(&model).mean_dim(0, false, Kind::Float);
    assert!(gap.abs().max().double_value(&[]) < 1e-6);
    let scores = [&whole, &model].map(|model| model.preference_scores(&model.users));
    assert!(scores[0].iter().zip(&scores[1]).all(|(a, b)| (a - b).abs() < 1e-5));
}
