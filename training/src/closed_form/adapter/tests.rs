//! Facts about the adapter on answers made here, whose coefficients are known.

use personaroute_bundle::signals::{Rated, signals};

use super::*;
use crate::graph::interaction::{InteractionBatch, InteractionFeatures};
use crate::model::rng::Rng;
use crate::model::tensors::{single, to_vec};

const LLMS: usize = 4;
const TASKS: usize = 2;
const QUERIES: usize = 240;

/// Answers that are right or wrong, expensive LLMs more often right, each LLM with its own price.
struct World {
    components: Components,
    effect: Vec<f64>,
}

impl World {
    fn new(noise: f64) -> Self {
        let mut rng = Rng::new(3, &[]);
        let chance =
            |query: usize, llm: usize| 0.3 + 0.15 * llm as f64 + if query % TASKS == llm % 2 { 0.1 } else { 0.0 };
        let mut effect = Vec::new();
        for at in 0..QUERIES * LLMS {
            effect.push(f64::from(u8::from(rng.uniform() < chance(at / LLMS, at % LLMS))));
        }
        let shape = [QUERIES as i64, LLMS as i64];
        let double = |values: &[f64]| Tensor::from_slice(values).view(shape);
        let cost: Vec<f64> = (0..QUERIES * LLMS).map(|at| -price(at % LLMS)).collect();
        let tasks: Vec<i64> = (0..QUERIES).map(|query| (query % TASKS) as i64).collect();
        let means = || Tensor::zeros([TASKS as i64, LLMS as i64], (Kind::Double, Device::Cpu));
        let components = Components {
            queries: (0_u32..).take(QUERIES).collect(),
            tasks: Tensor::from_slice(&tasks),
            scores: Tensor::linspace(0.0, 1.0, 101, (Kind::Double, Device::Cpu)),
            effect: double(&effect),
            cost: double(&cost),
            weight: Tensor::ones(shape, (Kind::Double, Device::Cpu)),
            effect_means: means(),
            cost_means: means(),
            noise,
            factors: None,
        };
        Self { components, effect }
    }

    fn adapter(&self) -> Adapter {
        fit(&self.components, |scores| scores.unsqueeze(1))
    }

    /// What a user with this `score` says of all answers to a query, or of one.
    fn rated(&self, score: f64, query: usize, only: Option<usize>, noise: &mut dyn FnMut() -> f64) -> Vec<Rated> {
        let task = u32::try_from(query % TASKS).ok();
        let reward = |llm: usize| score * self.effect[query * LLMS + llm] - (1.0 - score) * price(llm);
        let all = (0..LLMS).filter(|llm| only.is_none_or(|only| only == *llm));
        let rate = |llm: usize| Rated {
            llm: u32::try_from(llm).unwrap(),
            task,
            query: query as u64,
            reward: single(reward(llm) + noise()),
        };
        all.map(rate).collect()
    }
}

fn price(llm: usize) -> f64 {
    0.1 + 0.25 * llm as f64
}

fn batch(users: &[Vec<Rated>], known: bool) -> InteractionBatch {
    let features = |(rated, signals): (&Rated, [f32; 3])| InteractionFeatures {
        llm: i64::from(rated.llm),
        task: rated.task.filter(|_| known).map_or(-1, i64::from),
        signals,
        group: 0,
    };
    let lists: Vec<Vec<InteractionFeatures>> =
        users.iter().map(|rated| rated.iter().zip(signals(rated)).map(features).collect()).collect();
    InteractionBatch::pad(&lists, TASKS)
}

/// Standard deviation `[users]` of the score under a posterior.
fn deviation(adapter: &Adapter, posterior: &Tensor) -> Tensor {
    let grid = adapter.grid();
    let mean = posterior.mv(&grid);
    (posterior.mv(&grid.square()) - mean.square()).clamp_min(0.0).sqrt()
}

/// Root mean squared error of the scores of 60 users who rated so many queries.
fn error(world: &World, adapter: &Adapter, queries: usize, (bandit, known, noise): (bool, bool, f64)) -> f64 {
    let mut rng = Rng::new(9, &[]);
    let scores: Vec<f64> = (0..60).map(|user| (f64::from(user) + 0.5) / 60.0).collect();
    let mut users = Vec::new();
    for &score in &scores {
        let mut all = Vec::new();
        for _ in 0..queries {
            let (query, only) = (rng.index(QUERIES), bandit.then(|| rng.index(LLMS)));
            all.extend(world.rated(score, query, only, &mut || noise * rng.normal()));
        }
        users.push(all);
    }
    let found = to_vec(&adapter.forward(&batch(&users, known), TASKS));
    let squares = found.iter().zip(&scores).map(|(found, score)| (f64::from(*found) - score).powi(2));
    (squares.sum::<f64>() / scores.len() as f64).sqrt()
}

#[test]
fn a_few_ratings_determine_a_users_score() {
    let world = World::new(0.0);
    let adapter = world.adapter();
    let of = |queries, bandit, known| error(&world, &adapter, queries, (bandit, known, 0.0));
    assert!(of(1, false, true) < 0.03, "{}", of(1, false, true));
    assert!(of(3, true, true) < 0.08, "{}", of(3, true, true));
    assert!(of(10, true, true) < 0.02, "{}", of(10, true, true));
    assert!(of(10, true, false) < 0.02, "{}", of(10, true, false));
}

#[test]
fn known_noise_only_widens_the_error() {
    let world = World::new(0.1);
    let adapter = world.adapter();
    let of = |queries| error(&world, &adapter, queries, (false, true, 0.1));
    assert!(of(3) < 0.1 && of(20) < 0.03, "{} {}", of(3), of(20));
}

#[test]
fn without_ratings_the_posterior_is_the_populations() {
    let world = World::new(0.0);
    let adapter = world.adapter();
    let mean = to_vec(&adapter.forward(&batch(&[Vec::new()], true), TASKS));
    assert!((mean[0] - 0.5).abs() < 0.01, "{mean:?}");
}

#[test]
fn contradictory_ratings_give_a_wide_posterior() {
    let world = World::new(0.02);
    let adapter = world.adapter();
    let mut silent = || 0.0;
    let mut torn = Vec::new();
    for query in 0..4 {
        let score = if query % 2 == 0 { 0.1 } else { 0.9 };
        torn.extend(world.rated(score, query, Some(1), &mut silent));
    }
    let steady: Vec<Rated> = (0..4).flat_map(|query| world.rated(0.9, query, Some(1), &mut silent)).collect();
    let posterior = adapter.posterior(&batch(&[torn, steady], true), TASKS);
    let deviation = to_vec(&deviation(&adapter, &posterior));
    assert!(deviation[0] > 2.0 * deviation[1], "{deviation:?}");
    let scores = to_vec(&posterior.mv(&adapter.grid()));
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn one_outlier_does_not_decide_a_score() {
    let world = World::new(0.0);
    let adapter = world.adapter();
    let mut silent = || 0.0;
    let mut all: Vec<Rated> =
        (0..6).flat_map(|query| world.rated(0.7, query, Some(query % LLMS), &mut silent)).collect();
    all[0].reward = 40.0;
    let found = to_vec(&adapter.forward(&batch(&[all], true), TASKS));
    assert!((found[0] - 0.7).abs() < 0.1, "{found:?}");
}

#[test]
fn pairs_nobody_rated_do_not_change_the_posterior() {
    let mut world = World::new(0.0);
    // The last LLM was never rated, the first only once.
    let keep: Vec<f64> =
        (0..QUERIES * LLMS).map(|at| if at % LLMS == 3 || (at % LLMS == 0 && at > 0) { 0.0 } else { 1.0 }).collect();
    world.components.weight = Tensor::from_slice(&keep).view([QUERIES as i64, LLMS as i64]);
    let adapter = world.adapter();
    assert!(to_vec(&adapter.table).iter().all(|x| x.is_finite() && *x <= 0.0));
    let rated = |llm| vec![Rated { llm, task: Some(0), query: 0, reward: -0.3 }];
    let posterior = adapter.posterior(&batch(&[Vec::new(), rated(3)], true), TASKS);
    let rows: Vec<f32> = to_vec(&(posterior.get(0) - posterior.get(1)).abs().max());
    assert!(rows[0] < 1e-4, "{rows:?}");
}

#[test]
fn many_llms_and_tasks_get_a_coarser_grid() {
    assert_eq!(sizes(15 * 9), (REWARD_BINS, GRID_POINTS));
    let (bins, scores) = sizes(16 * 100);
    assert!(16 * 100 * bins * scores <= MAX_LIKELIHOODS && bins >= MIN_GRID && scores >= MIN_GRID);
    assert_eq!(sizes(1_000_000), (MIN_GRID, MIN_GRID));
}
