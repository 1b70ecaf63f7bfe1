//! Proof of the export: libtorch and ONNX Runtime compute the same from random inputs.

use anyhow::{Result, bail};
use personaroute_bundle::interaction::{AdapterInteraction, InteractionKind, QueryFeatures, TaskColumns};
use personaroute_bundle::manifest::Parity;
use tch::Tensor;

use super::embedder;
use super::runtime::{Elements, Graph, Input};
use crate::graph::interaction::InteractionBatch;
use crate::graph::query::QueryInputs;
use crate::graph::query::SHAPE_TOKENS;
use crate::graph::query::TextEncoder;
use crate::model::Model;
use crate::model::rng::Rng;
use crate::model::score::ScorerInputs;
use crate::model::tensors::{from_rows, single, to_rows, to_vec};

/// Random batches of each graph.
const SAMPLES: u64 = 100;
/// Most rows of a batch.
const ROWS: usize = 6;
/// Most n-grams of a random text, and most interactions of a random user.
const LENGTH: usize = 120;

/// Compares both graphs and returns the largest difference; one above the bundle's limit is an error.
pub fn check(model: &dyn Model, scorer: &[u8], adapter: &[u8]) -> Result<Parity> {
    let (mut scorer, mut adapter) = (Graph::load(scorer)?, Graph::load(adapter)?);
    let mut worst = 0.0_f64;
    for sample in 0..SAMPLES {
        let mut rng = Rng::new(model.facts().seed, &[7, sample]);
        worst = worst.max(scorer_difference(model, &mut scorer, &mut rng)?);
        worst = worst.max(adapter_difference(model, &mut adapter, &mut rng)?);
    }
    if !(0.0..=Parity::LIMIT).contains(&worst) {
        bail!("libtorch and ONNX Runtime differ by {worst:e}, more than {:e}", Parity::LIMIT);
    }
    Ok(Parity { samples: SAMPLES, max_abs_difference: worst })
}

fn scorer_difference(model: &dyn Model, graph: &mut Graph, rng: &mut Rng) -> Result<f64> {
    let rows = 1 + rng.index(ROWS);
    let user = random_users(model, rows, rng);
    let preference: Vec<f32> =
        (0..rows).map(|_| if rng.below(2) == 0 { -1.0 } else { single(rng.uniform()) }).collect();
    let tasks = model.facts().tasks.len();
    let told: Vec<usize> = (0..rows).map(|_| rng.index(2 * tasks)).collect();
    let task: Vec<f32> =
        told.iter().flat_map(|&told| (0..tasks).map(move |task| if task == told { 1.0 } else { 0.0 })).collect();
    let (query, padded) = random_queries(model, rows, rng);
    let positions: Vec<usize> = (0..rows).collect();
    let batch = rows as i64;
    let inputs = ScorerInputs {
        user: from_rows(&user, model.user_dim()),
        preference: Tensor::from_slice(&preference).view([batch, 1]),
        task: Tensor::from_slice(&task).view([batch, tasks as i64]),
        query: query.batch(&positions),
    };
    let expected = tch::no_grad(|| model.scorer(&inputs));
    let user: Vec<f32> = user.concat();
    let found = graph.run(&[
        Input { dims: &[batch, model.user_dim() as i64], elements: Elements::F32(&user) },
        Input { dims: &[batch, 1], elements: Elements::F32(&preference) },
        Input { dims: &[batch, tasks as i64], elements: Elements::F32(&task) },
        padded.input(batch, &mut Vec::new()),
    ])?;
    difference(&expected, &found)
}

fn adapter_difference(model: &dyn Model, graph: &mut Graph, rng: &mut Rng) -> Result<f64> {
    let rows = 1 + rng.index(ROWS);
    let lists: Vec<Vec<AdapterInteraction>> =
        (0..rows).map(|_| (0..rng.index(LENGTH)).map(|_| random_interaction(model, rng)).collect()).collect();
    // Some start from the prior, the others from somewhere with a history behind it.
    let mut start = random_users(model, rows, rng);
    let mut counts = vec![0.0; rows];
    for (user, count) in start.iter_mut().zip(&mut counts) {
        match rng.below(2) {
            0 => *user = model.prior(),
            _ => *count = rng.below(500) as f32,
        }
    }
    let columns = (model.facts().tasks.len(), model.facts().text_input());
    let batch = InteractionBatch::new(&lists, columns, (&start, &counts));
    let expected = tch::no_grad(|| model.adapter(&batch));
    difference(&expected, &embedder::run(graph, &batch)?)
}

fn difference(expected: &[Tensor], found: &[Vec<f32>]) -> Result<f64> {
    if expected.len() != found.len() {
        bail!("{} outputs instead of {}", found.len(), expected.len());
    }
    let mut worst = 0.0_f64;
    for (expected, found) in expected.iter().zip(found) {
        let expected = to_vec(expected);
        if expected.len() != found.len() {
            bail!("an output of {} elements instead of {}", found.len(), expected.len());
        }
        for (a, b) in expected.iter().zip(found) {
            let gap = f64::from((a - b).abs());
            // A comparison with NaN is false: it must not pass as a small difference.
            worst = if gap <= worst { worst } else { gap };
        }
    }
    Ok(worst)
}

/// Users between and beyond the trained ones.
fn random_users(model: &dyn Model, rows: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
    let trained = to_rows(model.users());
    let mut one = || trained.get(rng.index(trained.len().max(1))).cloned().unwrap_or_else(|| model.prior());
    let pairs: Vec<[Vec<f32>; 2]> = (0..rows).map(|_| [one(), one()]).collect();
    let mixed = |[first, second]: [Vec<f32>; 2]| {
        let [a, b] = [0, 1].map(|_| single(1.5 * rng.uniform()));
        first.iter().zip(&second).map(|(x, y)| a * x + b * y).collect()
    };
    pairs.into_iter().map(mixed).collect()
}

fn random_interaction(model: &dyn Model, rng: &mut Rng) -> AdapterInteraction {
    let tasks = model.facts().tasks.len();
    let column = |column: usize| u32::try_from(column).unwrap_or(0);
    let task = match rng.below(3) {
        0 => TaskColumns::Unknown,
        1 => TaskColumns::Declared(column(rng.index(tasks))),
        _ => TaskColumns::Guessed((0..tasks).map(|_| single(rng.uniform() / tasks as f64)).collect()),
    };
    let kind = if rng.below(2) == 0 { InteractionKind::Rating } else { InteractionKind::Choice };
    let value = match kind {
        InteractionKind::Rating => single(rng.normal()),
        InteractionKind::Choice => rng.below(2) as f32,
    };
    let query = match random_queries(model, 1, rng).0 {
        _ if rng.below(4) == 0 => QueryFeatures::None,
        QueryInputs::Lexical(ids) => QueryFeatures::Ngrams(ids.concat()),
        QueryInputs::Embedding(rows) => QueryFeatures::Embedding(rows.concat()),
    };
    AdapterInteraction {
        llm: column(rng.index(model.llms())),
        task,
        query,
        kind,
        value,
        weight: single(rng.uniform()),
        group: rng.below(8),
    }
}

/// The query input as the graph takes it.
enum Padded {
    Ngrams(Vec<i64>),
    Query(Vec<f32>),
}

impl Padded {
    fn input<'a>(&'a self, batch: i64, dims: &'a mut Vec<i64>) -> Input<'a> {
        let (count, elements) = match self {
            Self::Ngrams(ids) => (ids.len(), Elements::I64(ids)),
            Self::Query(rows) => (rows.len(), Elements::F32(rows)),
        };
        *dims = vec![batch, count as i64 / batch];
        Input { dims, elements }
    }
}

fn random_queries(model: &dyn Model, rows: usize, rng: &mut Rng) -> (QueryInputs, Padded) {
    match model.facts().hparams.text {
        TextEncoder::Lexical(lexical) => {
            // Texts without n-grams are a case of their own.
            let most = if rng.below(4) == 0 { SHAPE_TOKENS } else { LENGTH };
            let mut text = || (0..1 + rng.index(most)).map(|_| 1 + rng.below(lexical.buckets.into()) as i64).collect();
            let texts: Vec<Vec<i64>> = (0..rows).map(|_| text()).collect();
            let width = texts.iter().map(Vec::len).max().unwrap_or(0);
            let padded =
                texts.iter().flat_map(|ids| ids.iter().copied().chain(std::iter::repeat(0)).take(width)).collect();
            (QueryInputs::Lexical(texts), Padded::Ngrams(padded))
        }
        TextEncoder::Embedding => {
            let scale = (model.facts().embedding as f64).sqrt().recip();
            let mut text = || (0..model.facts().embedding).map(|_| single(scale * rng.normal())).collect::<Vec<f32>>();
            let texts: Vec<Vec<f32>> = (0..rows).map(|_| text()).collect();
            let flat = texts.concat();
            (QueryInputs::Embedding(texts), Padded::Query(flat))
        }
    }
}
