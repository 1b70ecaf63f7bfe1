//! Proof of the export: libtorch and ONNX Runtime compute the same from random inputs.

use anyhow::{Result, bail};
use personaroute_bundle::manifest::Parity;
use tch::Tensor;

use super::runtime::{Elements, Graph, Input};
use crate::graph::interaction::{InteractionBatch, InteractionFeatures};
use crate::graph::query::QueryInputs;
use crate::graph::query::SHAPE_TOKENS;
use crate::graph::query::TextEncoder;
use crate::model::Model;
use crate::model::rng::Rng;
use crate::model::score::ScorerInputs;
use crate::model::tensors::{from_rows, single, to_vec};

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
    let (tasks, llms) = (model.facts().tasks.len(), model.llms());
    let rows = 1 + rng.index(ROWS);
    let lists: Vec<Vec<InteractionFeatures>> =
        (0..rows).map(|_| (0..rng.index(LENGTH)).map(|_| random_message(tasks, llms, rng)).collect()).collect();
    let visible = InteractionBatch::pad(&lists, tasks);
    let expected = tch::no_grad(|| model.adapter(&visible));
    let dims = [rows as i64, visible.width as i64];
    let found = graph.run(&[
        Input { dims: &dims, elements: Elements::I64(&visible.llm) },
        Input { dims: &dims, elements: Elements::I64(&visible.task) },
        Input { dims: &[rows as i64, visible.width as i64, 3], elements: Elements::F32(&visible.signals) },
        Input { dims: &dims, elements: Elements::F32(&visible.mask) },
        Input { dims: &dims, elements: Elements::I64(&visible.group) },
    ])?;
    difference(&expected, &found)
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

/// Users scattered around the trained ones.
fn random_users(model: &dyn Model, rows: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
    let spread = to_vec(model.users()).iter().fold(0.1_f32, |most, x| most.max(x.abs()));
    (0..rows).map(|_| (0..model.user_dim()).map(|_| spread * single(rng.normal())).collect()).collect()
}

fn random_message(tasks: usize, llms: usize, rng: &mut Rng) -> InteractionFeatures {
    let grouped = rng.below(2) as f32;
    let [reward, relative] = [single(rng.normal()), grouped * single(rng.normal())];
    // One before the first task and one after the last both stand for an unknown one.
    let task = rng.index(tasks + 2) as i64 - 1;
    InteractionFeatures {
        llm: rng.index(llms) as i64,
        task,
        signals: [reward, relative, grouped],
        group: rng.index(8) as i64,
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
