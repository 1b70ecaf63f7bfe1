//! Facts about learning from votes, on generated ones: users with their own strengths, some of whom have a position bias.

use ndarray::Array2;
use personaroute_bundle::layout::SCORER;

use super::design::{Block, Design};
use super::score::{Prediction, mean, row};
use super::serve::{SERVED, VoteFit, position_biases};
use super::solve::{Problem, Ridges, doubles};
use super::tune::{Folds, start};
use super::{baseline, solve};
use crate::closed_form::ClosedForm;
use crate::data::vote::{Vote, Votes, Winner};
use crate::data::{Dataset, LlmInfo, Query, TaskInfo, UserInfo};
use crate::export::runtime::{Elements, Graph, Input};
use crate::export::{self, ExportOptions};
use crate::fixture;
use crate::graph::query::TextEncoder;
use crate::model::hparams::Hparams;
use crate::model::rng::Rng;
use crate::model::tensors::to_vec;
use crate::model::{Model as _, TaskInput};
use crate::train;

const LLMS: usize = 6;
const USERS: usize = 24;
const TEXTS: [&str; 5] =
    ["tell a joke about cats", "write a haiku on rain", "prove it by induction", "add 17 and 25", "sort these numbers"];

fn dataset() -> Dataset {
    let llm = |at: usize| LlmInfo {
        id: format!("llm-{at}"),
        description: String::new(),
        model: String::new(),
        input_price: 0.1 * 2_f32.powf(at as f32),
        output_price: 0.2,
        family: None,
    };
    let unknown = Array2::from_elem((TEXTS.len(), LLMS), f32::NAN);
    Dataset {
        name: "made".to_owned(),
        llms: (0..LLMS).map(llm).collect(),
        llm_embeddings: Array2::zeros((LLMS, 0)),
        tasks: ["logic", "prose"].map(|name| TaskInfo { name: name.to_owned(), description: String::new() }).to_vec(),
        task_embeddings: Array2::zeros((2, 0)),
        queries: (0..)
            .zip(TEXTS)
            .map(|(at, text)| Query { id: at, task: u32::from(at < 2), text: text.to_owned() })
            .collect(),
        query_embeddings: Array2::from_shape_fn((TEXTS.len(), 8), |(q, x)| if x == q { 1.0 } else { 0.1 }),
        effect: unknown.clone(),
        cost: unknown,
        fingerprint: "made".to_owned(),
    }
}

/// Half of the users like the first three LLMs, the others the last three; every third user favours the left side.
fn votes() -> Votes {
    let mut rng = Rng::new(5, &[]);
    let mut all = Vec::new();
    for user in (0..).take(USERS) {
        for _ in 0..60 {
            let (left, other) = (rng.index(LLMS), rng.index(LLMS - 1));
            let [left, right] = [left, (left + 1 + other) % LLMS].map(|llm| u16::try_from(llm).unwrap());
            let liked = |llm: u16| if (llm < 3) == (user % 2 == 0) { 1.5_f64 } else { 0.0 };
            let side = if user % 3 == 0 { 1.5 } else { 0.0 };
            let chance = 1.0 / (1.0 + (liked(right) - liked(left) - side).exp());
            let winner = match rng.uniform() {
                drawn if drawn < 0.1 => Winner::Tie,
                drawn if (drawn - 0.1) / 0.9 < chance => Winner::Left,
                _ => Winner::Right,
            };
            all.push(Vote { user, query: u32::try_from(rng.index(TEXTS.len())).unwrap(), left, right, winner });
        }
    }
    let users = (0..USERS).map(|user| UserInfo { id: user.to_string(), preference: None }).collect();
    Votes { dataset: dataset(), users, votes: all }
}

fn router(votes: &Votes, encoder: TextEncoder) -> ClosedForm {
    let (design, split) = (Design::build(votes, tch::Device::Cpu), votes.split());
    let hparams = Hparams { text: encoder, ..Hparams::default() };
    VoteFit::new(votes, &design, &start(&SERVED), &split.train).model(hparams, 0)
}

#[test]
fn the_optimum_balances_votes_and_ridge() {
    let mut votes = votes();
    let vote = |winner| Vote { user: 0, query: 0, left: 0, right: 1, winner };
    votes.votes = [Winner::Left, Winner::Left, Winner::Left, Winner::Right, Winner::Tie].map(vote).to_vec();
    let design = Design::build(&votes, tch::Device::Cpu);
    let point = Problem::new(&votes, &design, &start(&[Block::Llm]), &[0, 1, 2, 3, 4]).solve(None);
    let strength = design.dense(Block::Llm, &doubles(&point), LLMS);
    // Both strengths balance: five votes with 3.5 wins against a ridge of 1.
    let [left, right] = [strength[0], strength[1]];
    let slope = 5.0 / (1.0 + (right - left).exp()) - 3.5 + left;
    assert!(slope.abs() < 1e-4 && (left + right).abs() < 1e-6, "{slope} {left} {right}");
    assert_eq!(&strength[2..], [0.0; 4]);
}

#[test]
fn personal_strengths_are_found_and_position_bias_is_a_nuisance() {
    let votes = votes();
    let (design, split) = (Design::build(&votes, tch::Device::Cpu), votes.split());
    let rows = baseline::all(&votes, &split, &design, None);
    let loss = |name: &str| rows.iter().find(|row| row.name == name).unwrap().log_loss;
    let [personal, position, none] = ["user_llm", "user_position", "task_llm"].map(loss);
    assert!(personal < position - 0.03 && position < none - 0.01, "{personal} {position} {none}");
    assert!((loss("random") - 2_f64.ln()).abs() < 1e-12);
    let model = router(&votes, TextEncoder::default());
    let biases = position_biases(&model, &votes.users);
    let mean = |third: bool| {
        let own: Vec<f64> = (0..USERS).filter(|user| (user % 3 == 0) == third).map(|user| biases[user]).collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    assert!(mean(true) > mean(false) + 0.7, "{} {}", mean(true), mean(false));
    let scores = fixture::utilities(&model, &votes.dataset, &model.users, (&[0, 1, 2, 3, 4], TaskInput::Declared));
    let mut right = 0;
    for user in 0..USERS {
        let best =
            |query: usize| (0..LLMS).max_by(|&a, &b| scores[[user, query, a]].total_cmp(&scores[[user, query, b]]));
        let liked = (0..5).filter(|&query| (best(query).unwrap() < 3) == (user % 2 == 0)).count();
        right += liked;
    }
    assert!(right * 10 > USERS * 5 * 9, "{right} of {}", USERS * 5);
}

#[test]
fn the_router_predicts_what_the_fitted_model_predicts() {
    let votes = votes();
    let (design, split) = (Design::build(&votes, tch::Device::Cpu), votes.split());
    let ridges = start(&SERVED);
    let model = router(&votes, TextEncoder::default());
    let point = Problem::new(&votes, &design, &ridges, &split.train).solve(None);
    let expected = solve::logits(&design, &ridges, &point, &split.test);
    let biases = position_biases(&model, &votes.users);
    let scores = fixture::utilities(&model, &votes.dataset, &model.users, (&[0, 1, 2, 3, 4], TaskInput::Declared));
    // The table of n-grams is kept in eight bits.
    for (&row, expected) in split.test.iter().zip(expected) {
        let Vote { user, query, left, right, .. } = votes.votes[row];
        let utility = |llm: u16| f64::from(scores[[user as usize, query as usize, usize::from(llm)]]);
        let found = biases[user as usize] + utility(left) - utility(right);
        assert!((found - expected).abs() < 0.03, "vote {row}: {found} instead of {expected}");
    }
}

#[test]
fn an_exported_router_scores_in_onnx_runtime_as_trained() {
    let votes = votes();
    for encoder in [TextEncoder::default(), TextEncoder::Embedding] {
        let model = router(&votes, encoder);
        let folder = tempfile::tempdir().unwrap();
        model.save(&folder.path().join("run")).unwrap();
        let trained = train::load(&folder.path().join("run")).unwrap();
        let bundle = export::write(&trained, &folder.path().join("bundle"), &ExportOptions::default()).unwrap();
        assert_eq!(bundle.users.len(), USERS);
        let expected =
            fixture::utilities(&model, &votes.dataset, &model.users.narrow(0, 3, 1), (&[1], TaskInput::Declared));
        let mut graph = Graph::open(&bundle.source.path(SCORER)).unwrap();
        let row = to_vec(&model.users.get(3));
        let dims = [1, row.len() as i64];
        let (ids, vector) = match encoder {
            TextEncoder::Lexical(lexical) => (lexical.ids(TEXTS[1]), Vec::new()),
            TextEncoder::Embedding => (Vec::new(), votes.dataset.query_embeddings.row(1).to_vec()),
        };
        let query_dims = [1, ids.len().max(vector.len()) as i64];
        let query = if ids.is_empty() { Elements::F32(&vector) } else { Elements::I64(&ids) };
        let found = graph
            .run(&[
                Input { dims: &dims, elements: Elements::F32(&row) },
                Input { dims: &[1, 1], elements: Elements::F32(&[-1.0]) },
                Input { dims: &[1, 2], elements: Elements::F32(&[0.0, 1.0]) },
                Input { dims: &query_dims, elements: query },
            ])
            .unwrap();
        for (found, expected) in found[0].iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
        }
    }
}

#[test]
fn a_larger_declared_preference_never_lowers_the_strength_of_the_choice() {
    let votes = votes();
    let model = router(&votes, TextEncoder::default());
    let values = model.query_values(&votes.dataset, &[2], TaskInput::Declared).values;
    let effect = to_vec(&values.matmul(&model.preference.effect));
    let mut last = f32::NEG_INFINITY;
    for step in 0..=20 {
        let weights =
            model.preference.declared(&tch::Tensor::from_slice(&[step as f32 / 20.0]).unsqueeze(1)).squeeze_dim(0);
        let utility = to_vec(&values.matmul(&weights));
        let best = (0..LLMS).max_by(|&a, &b| utility[a].total_cmp(&utility[b])).unwrap();
        assert!(effect[best] >= last - 1e-6);
        last = effect[best];
    }
}

#[test]
fn ridges_are_chosen_without_test_votes() {
    let votes = votes();
    let (design, split) = (Design::build(&votes, tch::Device::Cpu), votes.split());
    let mut turned = votes.clone();
    split.test.iter().for_each(|&row| turned.votes[row].winner = turned.votes[row].winner.swapped());
    let tuned =
        |votes: &Votes| -> Ridges { Folds::new(votes, &design, &split).tune(start(&[Block::Llm, Block::UserLlm])) };
    assert_eq!(tuned(&votes), tuned(&turned));
}

#[test]
fn even_odds_are_half_right_and_ties_are_not_predicted() {
    let mut votes = votes();
    let vote = |user, winner| Vote { user, query: 0, left: 0, right: 1, winner };
    votes.votes = vec![vote(0, Winner::Left), vote(0, Winner::Tie), vote(1, Winner::Right), vote(2, Winner::Right)];
    let predicted = Prediction::all(&votes, &[0, 1, 2, 3], &[2.0, 5.0, 0.0, 1.0]);
    let figures = mean(&predicted);
    assert_eq!((predicted.len(), figures.accuracy), (3, 0.5));
    let losses = [(1.0 + (-2_f64).exp()).ln(), 2_f64.ln(), (1.0 + 1_f64.exp()).ln()];
    assert!((figures.log_loss - losses.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    let row = row("x", &predicted);
    assert_eq!((row.users, row.votes), (3, 3));
    let [low, high] = row.accuracy_interval;
    assert!(low < 0.5 && high > 0.5 && low >= 0.0 && high <= 1.0);
}
