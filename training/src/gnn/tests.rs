//! Facts about the trained graph network.

use super::Gnn;
use crate::data::{Interaction, SignalKind};
use crate::fixture::{Fixture, NetworkRun, hparams};
use crate::graph::interaction::{InteractionBatch, adapter_interactions};
use crate::model::hparams::{Hparams, Init};
use crate::model::rng::Rng;
use crate::model::tensors::{single, to_vec};
use crate::model::{Model, TaskInput};

fn random() -> Hparams {
    Hparams { embedding_dim: 16, init: Init::Random, train_epoch: 12, ..hparams() }
}

fn trained(fixture: &Fixture, hparams: Hparams, seed: u64) -> Gnn {
    let dir = tempfile::tempdir().unwrap();
    NetworkRun { seed, ..NetworkRun::new(hparams, dir.path()) }.train(fixture).unwrap()
}

/// A change of one key.
type Change = fn(&mut Hparams);

/// What a user thinks of an LLM on a task, beyond effect and cost.
fn liking(user: usize, task: u32, llm: usize) -> f32 {
    let one = single(Rng::new(3, &[user as u64]).normal());
    if (task as usize + llm).is_multiple_of(2) { 0.5 * one } else { -0.5 * one }
}

/// Users with tastes of their own on each task.
fn tasteful() -> Fixture {
    let mut fixture = Fixture::new();
    for user in 0..fixture.preferences.len() {
        let range = fixture.interactions.offsets[user]..fixture.interactions.offsets[user + 1];
        for entry in &mut fixture.interactions.entries[range] {
            entry.value += liking(user, entry.query % 3, entry.llm.into());
        }
    }
    fixture
}

/// Mean utility of the chosen LLMs on test queries.
fn earned(fixture: &Fixture, model: &Gnn) -> f64 {
    let queries = &fixture.split.test;
    let predictor = model.predictor(&fixture.dataset, queries, TaskInput::Declared, model.users()).unwrap();
    let positions: Vec<usize> = (0..queries.len()).collect();
    let mut total = 0.0;
    for user in 0..fixture.preferences.len() {
        let utilities = predictor.utilities(user, &positions).unwrap();
        for (row, &query) in utilities.rows().into_iter().zip(queries) {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            total += f64::from(fixture.reward(user, query, best) + liking(user, query % 3, best));
        }
    }
    total / (fixture.preferences.len() * queries.len()) as f64
}

/// What is earned by the best possible choices, and by choices that are the same for all users.
fn bounds(fixture: &Fixture) -> [f64; 2] {
    let queries = &fixture.split.test;
    let users = fixture.preferences.len();
    let worth = |user: usize, query: u32, llm: usize| {
        f64::from(fixture.reward(user, query, llm) + liking(user, query % 3, llm))
    };
    let (mut best, mut same) = (0.0, 0.0);
    for &query in queries {
        best += (0..users).map(|user| (0..4).map(|llm| worth(user, query, llm)).fold(f64::MIN, f64::max)).sum::<f64>();
        same += (0..4).map(|llm| (0..users).map(|user| worth(user, query, llm)).sum::<f64>()).fold(f64::MIN, f64::max);
    }
    [best, same].map(|sum| sum / (users * queries.len()) as f64)
}

#[test]
fn tastes_by_task_are_learned_from_either_start() {
    let fixture = tasteful();
    let [best, same] = bounds(&fixture);
    for init in [Init::Random, Init::ClosedForm] {
        let model = trained(&fixture, Hparams { init, ..random() }, 5);
        let share = (earned(&fixture, &model) - same) / (best - same);
        assert!(share > 0.75, "{init:?}: {share}");
    }
}

#[test]
fn equal_seeds_give_equal_numbers_and_others_do_not() {
    let fixture = Fixture::new();
    let users = |seed| to_vec(&trained(&fixture, random(), seed).users);
    assert_eq!(users(5), users(5));
    assert_ne!(users(5), users(6));
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_numbers() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let interrupted = NetworkRun { stop: Some(3), ..NetworkRun::new(random(), dir.path()) }.train(&fixture);
    assert!(interrupted.unwrap_err().to_string().contains("--resume"));
    let resumed = NetworkRun { resume: true, ..NetworkRun::new(random(), dir.path()) }.train(&fixture).unwrap();
    let whole = trained(&fixture, random(), 5);
    assert_eq!(to_vec(&resumed.users), to_vec(&whole.users));
    assert_eq!(to_vec(&resumed.values), to_vec(&whole.values));
}

#[test]
fn a_loss_that_is_no_number_names_epoch_and_batch() {
    let dir = tempfile::tempdir().unwrap();
    let hparams = Hparams { learning_rate: 1e30, ..random() };
    let error = NetworkRun::new(hparams, dir.path()).train(&Fixture::new()).unwrap_err().to_string();
    assert!(error.contains("epoch 1, batch"), "{error}");
}

#[test]
fn every_key_changes_what_it_names() {
    let fixture = Fixture::new();
    let base = random();
    let usual = trained(&fixture, base.clone(), 5);
    let with = |change: Change| {
        let mut hparams = base.clone();
        change(&mut hparams);
        trained(&fixture, hparams, 5)
    };
    assert_eq!((usual.user_dim(), with(|h| h.embedding_dim = 12).user_dim()), (16, 12));
    assert_eq!(with(|h| h.edge_dim = 1).length_values.size()[0], 3, "a feature for each task");
    assert_eq!(usual.length_values.size()[0], 9, "three features for each task");
    assert!(with(|h| h.train_epoch = 2).facts.epochs <= 2);
    let changes: [(&str, Change); 5] = [
        ("learning_rate", |h| h.learning_rate = 3e-3),
        ("weight_decay", |h| h.weight_decay = 1.0),
        ("batch_size", |h| h.batch_size = 24),
        ("train_mask_rate", |h| h.train_mask_rate = 0.5),
        ("init", |h| h.init = Init::ClosedForm),
    ];
    for (key, change) in changes {
        assert_ne!(to_vec(&usual.users), to_vec(&with(change).users), "{key}");
    }
}

/// What a user of a fixture said, as the adapter reads it.
fn said(fixture: &Fixture, model: &Gnn, user: usize) -> Vec<personaroute_bundle::interaction::AdapterInteraction> {
    adapter_interactions(&fixture.dataset, &model.facts.hparams.text, fixture.interactions.of(user))
}

#[test]
fn the_adapter_reads_ratings_choices_and_votes_as_training_does() {
    for told in [None, Some(false), Some(true)] {
        let mut fixture = tasteful();
        if let Some(votes) = told {
            compared(&mut fixture, votes);
        }
        // Sides are known in training alone, so that they must not count here.
        for entry in &mut fixture.interactions.entries {
            if let SignalKind::Vote { is_left, .. } = &mut entry.kind {
                *is_left = false;
            }
        }
        let model = trained(&fixture, random(), 5);
        let users: Vec<_> = (0..fixture.preferences.len()).map(|user| said(&fixture, &model, user)).collect();
        let away = (model.embed_users(&users) - model.users()).abs().max().double_value(&[]);
        assert!(away < 2e-3, "votes {told:?}: {away}");
    }
}

#[test]
fn a_known_user_moves_from_the_trained_embedding() {
    let fixture = tasteful();
    let model = trained(&fixture, random(), 5);
    let other = said(&fixture, &model, 1);
    let start = to_vec(&model.users.get(0));
    let columns = (model.facts.tasks.len(), model.facts.text_input());
    let count = fixture.interactions.of(0).len() as f32;
    let moved = |count: f32, interactions: &[_]| {
        let batch = InteractionBatch::new(&[interactions.to_vec()], columns, (std::slice::from_ref(&start), &[count]));
        let [user, _, certainty] = model.adapter(&batch);
        // The second half says how well each weight is known: on average, not of this user.
        let weights = to_vec(&user.narrow(1, 0, 8));
        let away = weights.iter().zip(&start).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        (away, to_vec(&certainty)[0])
    };
    let (stays, known) = moved(count, &[]);
    assert!(stays < 1e-5 && known > 0.5, "{stays} {known}");
    let (little, more) = moved(count, &other[..4]);
    let (much, less) = moved(0.0, &other[..4]);
    assert!(little < much && more > known && less < known, "{little} {much}; {more} {known} {less}");
}

#[test]
fn what_was_said_long_ago_counts_less() {
    let fixture = tasteful();
    let model = trained(&fixture, random(), 5);
    let columns = (model.facts.tasks.len(), model.facts.text_input());
    let away = |weight: f32| {
        let mut interactions = said(&fixture, &model, 0);
        interactions.iter_mut().for_each(|interaction| interaction.weight = weight);
        let [user, _, certainty] =
            model.adapter(&InteractionBatch::from_prior(&[interactions], columns, &model.prior()));
        let away = to_vec(&user).iter().zip(model.prior()).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        (away, to_vec(&certainty)[0])
    };
    let [none, little, much] = [0.0, 0.05, 1.0].map(away);
    assert!(none.0 < 1e-9 && none.1 < 1e-6, "{none:?}");
    assert!(little.0 < much.0 && little.1 < much.1 && little.1 > 0.0, "{little:?} {much:?}");
}

/// Turns the ratings of each query into one choice, or into votes of the best answer against the others.
fn compared(fixture: &mut Fixture, votes: bool) {
    let rated = std::mem::take(&mut fixture.interactions);
    fixture.interactions.users = rated.users.clone();
    fixture.interactions.offsets = vec![0];
    for user in 0..rated.users.len() {
        for answers in rated.of(user).chunk_by(|a, b| a.query == b.query) {
            let best = answers.iter().max_by(|a, b| a.value.total_cmp(&b.value)).unwrap();
            let vote =
                |answer: &Interaction| SignalKind::Vote { against: best.llm, is_left: answer.llm.is_multiple_of(2) };
            let kind = |answer: &Interaction| if votes { vote(answer) } else { SignalKind::Choice };
            let value = |answer: &Interaction| if !votes && answer.llm == best.llm { 1.0 } else { 0.0 };
            let shown = answers.iter().filter(|answer| !votes || answer.llm != best.llm);
            let told = shown.map(|answer| Interaction { value: value(answer), kind: kind(answer), ..*answer });
            fixture.interactions.entries.extend(told);
        }
        fixture.interactions.offsets.push(fixture.interactions.entries.len());
    }
}

#[test]
fn choices_and_votes_train_without_ratings() {
    for votes in [false, true] {
        let mut fixture = tasteful();
        compared(&mut fixture, votes);
        let [best, same] = bounds(&fixture);
        let model = trained(&fixture, random(), 5);
        let share = (earned(&fixture, &model) - same) / (best - same);
        assert!(share > 0.5, "votes {votes}: {share}");
    }
}

#[test]
fn uncertainty_shrinks_with_what_a_user_says() {
    let fixture = tasteful();
    let model = trained(&fixture, random(), 5);
    let inputs = crate::graph::query::QueryInputs::build(&model.facts.hparams.text, &fixture.dataset, &[7]);
    let after = |count: usize| {
        let mut interactions = said(&fixture, &model, 0);
        interactions.truncate(count);
        let [_, _, _, uncertainty, _] = model.scorer(&crate::model::score::ScorerInputs {
            user: model.embed_users(&[interactions]),
            preference: tch::Tensor::from_slice(&[-1.0_f32]).view([1, 1]),
            task: tch::Tensor::zeros([1, 3], (tch::Kind::Float, tch::Device::Cpu)),
            query: inputs.batch(&[0]),
        });
        uncertainty.mean(tch::Kind::Float).double_value(&[])
    };
    let [none, few, many] = [0, 4, 40].map(after);
    assert!(none > few && few > many && many > 0.0, "{none} {few} {many}");
}

#[test]
fn a_user_without_a_judgement_stands_at_the_prior() {
    let mut fixture = Fixture::new();
    let end = *fixture.interactions.offsets.last().unwrap();
    fixture.interactions.offsets.push(end);
    fixture.interactions.users.push(crate::data::UserInfo { id: "silent".to_owned(), preference: None });
    let model = trained(&fixture, random(), 5);
    let users = to_vec(&model.users);
    assert!(users.iter().all(|x| x.is_finite()));
    let last = &users[users.len() - model.user_dim()..];
    let prior = model.prior();
    assert!(last.iter().zip(&prior).all(|(a, b)| (a - b).abs() < 1e-5), "{last:?} {prior:?}");
}

#[test]
fn a_loaded_network_predicts_the_same() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let model = NetworkRun::new(random(), dir.path()).train(&fixture).unwrap();
    let loaded = Gnn::load(dir.path(), model.facts.clone()).unwrap();
    let of = |model: &Gnn| {
        let predictor = model.predictor(&fixture.dataset, &[1, 2], TaskInput::Inferred, model.users()).unwrap();
        predictor.utilities(3, &[0, 1]).unwrap()
    };
    assert_eq!(of(&model), of(&loaded));
}
