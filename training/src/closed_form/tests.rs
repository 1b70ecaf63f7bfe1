//! Facts about whole runs, on generated data.

mod factors;
mod robust;

use ndarray::Array3;
use personaroute_bundle::interaction::{AdapterInteraction, TaskColumns};
use tch::{Kind, Tensor};

use crate::closed_form::ClosedForm;
use crate::data::Setting;
use crate::fixture::{Fixture, hparams};
use crate::graph::query::TextEncoder;
use crate::model::hparams::Hparams;
use crate::model::tensors::{to_rows, to_vec};
use crate::model::{Model as _, TaskInput, store};

/// Mean reward over users and test queries of choices by `utilities`.
fn reward(fixture: &Fixture, utilities: &Array3<f32>) -> f64 {
    let mut total = 0.0;
    for (user, rows) in utilities.outer_iter().enumerate() {
        for (row, &query) in rows.outer_iter().zip(&fixture.split.test) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            total += f64::from(fixture.reward(user, query, best));
        }
    }
    total / (utilities.shape()[0] * utilities.shape()[1]) as f64
}

/// Mean reward of each user's best LLM on the training queries.
fn best_single(fixture: &Fixture) -> f64 {
    let users = fixture.preferences.len();
    let mean = |user, llm, queries: &[u32]| {
        queries.iter().map(|&query| f64::from(fixture.reward(user, query, llm))).sum::<f64>() / queries.len() as f64
    };
    let best = |user| {
        let llms = 0..fixture.dataset.llms.len();
        let train = |llm: &usize| mean(user, *llm, &fixture.split.train);
        llms.max_by(|a, b| train(a).total_cmp(&train(b))).unwrap()
    };
    (0..users).map(|user| mean(user, best(user), &fixture.split.test)).sum::<f64>() / users as f64
}

fn weights(model: &ClosedForm) -> Vec<f32> {
    let text = model.text.named();
    let own = [&model.values, &model.users, &model.deviation];
    own.into_iter().chain(text.iter().map(|(_, tensor)| tensor)).flat_map(to_vec).collect()
}

#[test]
fn a_trained_model_beats_each_users_best_single_llm_in_both_settings() {
    let fixture = Fixture::new();
    for setting in [Setting::Rewards, Setting::EffectCost] {
        let dir = tempfile::tempdir().unwrap();
        let model = fixture.train(dir.path(), setting, false, None).unwrap();
        let single = best_single(&fixture);
        for task in [TaskInput::Declared, TaskInput::Inferred] {
            let utilities = fixture.utilities(&model, &model.users, task);
            let routed = reward(&fixture, &utilities);
            assert!(routed > single + 0.02, "{setting:?}, {task:?}: {routed} against {single}");
        }
    }
}

#[test]
fn users_of_different_preferences_are_routed_differently() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let model = fixture.train(dir.path(), Setting::Rewards, false, None).unwrap();
    let found = model.preference_scores(&model.users);
    let error: f32 =
        found.iter().zip(&fixture.preferences).map(|(a, b)| (a - b).abs()).sum::<f32>() / found.len() as f32;
    assert!(error < 0.1, "mean error {error}");
    let utilities = fixture.utilities(&model, &model.users, TaskInput::Declared);
    let choice = |user: usize| -> Vec<usize> {
        let rows = utilities.index_axis(ndarray::Axis(0), user);
        rows.outer_iter().map(|r| r.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0).collect()
    };
    let differing = choice(0).iter().zip(choice(47)).filter(|(a, b)| *a != b).count();
    assert!(differing * 2 > fixture.split.test.len(), "{differing} of {}", fixture.split.test.len());
}

#[test]
fn a_few_ratings_determine_the_preference_of_a_new_user() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let model = fixture.train(dir.path(), Setting::Rewards, false, None).unwrap();
    let ratings = |preference: f32| -> Vec<AdapterInteraction> {
        let rate = |(query, llm): (u32, u32)| {
            let at = [query as usize, llm as usize];
            let reward = preference * fixture.dataset.effect[at] - (1.0 - preference) * fixture.dataset.cost[at];
            AdapterInteraction {
                llm,
                task: TaskColumns::Declared(query % 3),
                group: query.into(),
                value: reward,
                ..AdapterInteraction::default()
            }
        };
        (1..4_u32).flat_map(|query| (0..4).map(move |llm| (query, llm))).map(rate).collect()
    };
    let score = |preference: f32| {
        let row = model.embed_users(&[ratings(preference)]);
        model.preference_scores(&row)[0]
    };
    assert!(score(0.9) > score(0.5) + 0.1 && score(0.5) > score(0.1) + 0.1);
    assert_eq!(model.prior().len(), model.user_dim());
}

#[test]
fn equal_seeds_give_equal_models() {
    let fixture = Fixture::new();
    let hparams = Hparams { train_epoch: 3, text_epoch: 2, ..hparams() };
    let run = || {
        let dir = tempfile::tempdir().unwrap();
        weights(&fixture.train_with(&hparams, (dir.path(), Setting::Rewards, false), None).unwrap())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_resumed_run_ends_like_one_that_was_never_interrupted() {
    let fixture = Fixture::new();
    let hparams = Hparams { train_epoch: 6, text_epoch: 2, ..hparams() };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = fixture.train_with(&hparams, (whole.path(), Setting::Rewards, false), None).unwrap();
    let stopped = fixture.train_with(&hparams, (cut.path(), Setting::Rewards, false), Some(1));
    assert!(stopped.unwrap_err().to_string().contains("after users"));
    let resumed = fixture.train_with(&hparams, (cut.path(), Setting::Rewards, true), None).unwrap();
    assert_eq!(weights(&expected), weights(&resumed));
    let metrics = |dir: &tempfile::TempDir| std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    assert_eq!(metrics(&whole), metrics(&cut));
}

#[test]
fn a_larger_declared_preference_never_lowers_the_effect_of_the_choice() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let model = fixture.train(dir.path(), Setting::Rewards, false, None).unwrap();
    let values = model.query_values(&fixture.dataset, &fixture.split.test, TaskInput::Inferred).values;
    let effects = to_rows(&values.matmul(&model.preference.effect));
    let mut last = vec![f32::NEG_INFINITY; effects.len()];
    for step in 0..=50 {
        let preference = Tensor::from_slice(&[step as f32 / 50.0]).unsqueeze(1);
        let utility = to_rows(&values.matmul(&model.preference.declared(&preference).squeeze_dim(0)));
        for ((utility, effect), last) in utility.iter().zip(&effects).zip(&mut last) {
            let best = utility.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            assert!(effect[best] >= *last - 1e-5, "at {step}/50");
            *last = effect[best];
        }
    }
}

#[test]
fn the_embedding_encoder_predicts_tasks_from_vectors() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let hparams = Hparams { text: TextEncoder::Embedding, ..hparams() };
    let model = fixture.train_with(&hparams, (dir.path(), Setting::Rewards, false), None).unwrap();
    let predicted =
        model.query_values(&fixture.dataset, &fixture.split.test, TaskInput::Inferred).tasks.argmax(1, false);
    let expected: Vec<i64> = fixture.split.test.iter().map(|query| i64::from(query % 3)).collect();
    let right =
        predicted.eq_tensor(&Tensor::from_slice(&expected)).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
    assert!(right > 0.9, "{right}");
}

#[test]
fn a_saved_model_loads_unchanged() {
    let fixture = Fixture::new();
    let hparams = Hparams { train_epoch: 2, text_epoch: 1, ..hparams() };
    let dir = tempfile::tempdir().unwrap();
    let model = fixture.train_with(&hparams, (dir.path(), Setting::EffectCost, false), None).unwrap();
    let mut loaded = ClosedForm::load(dir.path(), store::load_facts(dir.path()).unwrap()).unwrap();
    assert!((loaded.facts.validation - model.facts.validation).abs() < 1e-12);
    loaded.facts.validation = model.facts.validation;
    assert_eq!(loaded.facts, model.facts);
    assert_eq!(weights(&loaded), weights(&model));
}

#[test]
fn users_with_one_rated_answer_do_not_stop_training() {
    let mut fixture = Fixture::new();
    let single = &mut fixture.interactions;
    single.entries = (0..single.users.len()).map(|user| single.of(user)[user % 4]).collect();
    single.offsets = (0..=single.users.len()).collect();
    let dir = tempfile::tempdir().unwrap();
    let hparams = Hparams { train_epoch: 2, text_epoch: 1, ..hparams() };
    let model = fixture.train_with(&hparams, (dir.path(), Setting::Rewards, false), None).unwrap();
    assert!(weights(&model).iter().all(|weight| weight.is_finite()));
}

#[test]
fn a_cuda_device_that_is_not_there_is_refused() {
    if tch::Cuda::device_count() == 0 {
        let message = crate::train::device::device("cuda").unwrap_err().to_string();
        assert!(message.starts_with("no CUDA device 0"), "{message}");
    }
    assert!(crate::train::device::device("tpu").unwrap_err().to_string().contains("expected cpu, cuda or cuda:N"));
}
