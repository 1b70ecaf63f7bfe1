//! Facts about the adapter on answers made here, whose coefficients are known.

use personaroute_bundle::interaction::{AdapterInteraction, TaskColumns, TextInput};

use super::*;
use crate::graph::interaction::InteractionBatch;
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
    fn rated(
        &self,
        score: f64,
        query: usize,
        only: Option<usize>,
        noise: &mut dyn FnMut() -> f64,
    ) -> Vec<AdapterInteraction> {
        let task = u32::try_from(query % TASKS).ok();
        let reward = |llm: usize| score * self.effect[query * LLMS + llm] - (1.0 - score) * price(llm);
        let all = (0..LLMS).filter(|llm| only.is_none_or(|only| only == *llm));
        let rate = |llm: usize| AdapterInteraction {
            llm: u32::try_from(llm).unwrap(),
            task: task.map_or(TaskColumns::Unknown, TaskColumns::Declared),
            group: query as u64,
            value: single(reward(llm) + noise()),
            ..AdapterInteraction::default()
        };
        all.map(rate).collect()
    }
}

fn price(llm: usize) -> f64 {
    0.1 + 0.25 * llm as f64
}

fn batch(users: &[Vec<AdapterInteraction>], known: bool) -> InteractionBatch {
    let mut users = users.to_vec();
    if !known {
        users.iter_mut().flatten().for_each(|interaction| interaction.task = TaskColumns::Unknown);
    }
    InteractionBatch::from_prior(&users, (TASKS, TextInput::Ngrams), &[0.0])
}

/// Embeddings of users.
fn forward(adapter: &Adapter, batch: &InteractionBatch) -> Vec<f32> {
    let [users, _] = adapter.forward(batch);
    to_vec(&users)
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
    let found = forward(adapter, &batch(&users, known));
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
    let mean = forward(&adapter, &batch(&[Vec::new()], true));
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
    let steady: Vec<AdapterInteraction> =
        (0..4).flat_map(|query| world.rated(0.9, query, Some(1), &mut silent)).collect();
    let posterior = adapter.posterior(&batch(&[torn, steady], true));
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
    let mut all: Vec<AdapterInteraction> =
        (0..6).flat_map(|query| world.rated(0.7, query, Some(query % LLMS), &mut silent)).collect();
    all[0].value = 40.0;
    let found = forward(&adapter, &batch(&[all], true));
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
    let rated = |llm| {
        vec![AdapterInteraction { llm, task: TaskColumns::Declared(0), value: -0.3, ..AdapterInteraction::default() }]
    };
    let posterior = adapter.posterior(&batch(&[Vec::new(), rated(3)], true));
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

#[test]
fn a_user_stands_between_the_start_and_what_was_said_since() {
    let world = World::new(0.0);
    let adapter = world.adapter();
    let mut silent = || 0.0;
    let said: Vec<AdapterInteraction> = (0..2).flat_map(|query| world.rated(0.9, query, None, &mut silent)).collect();
    let of = |count: f32, said: &[AdapterInteraction]| {
        let start: (&[Vec<f32>], &[f32]) = (&[vec![0.2]], &[count]);
        let batch = InteractionBatch::new(&[said.to_vec()], (TASKS, TextInput::Ngrams), start);
        adapter.forward(&batch).map(|output| to_vec(&output)[0])
    };
    let [stays, known] = of(40.0, &[]);
    let [moved, more] = of(40.0, &said);
    let [fresh, _] = of(0.0, &said);
    let [prior, nothing] = of(0.0, &[]);
    assert!((stays - 0.2).abs() < 1e-6 && moved > 0.25 && moved < 0.5 && fresh > 0.85, "{stays} {moved} {fresh}");
    assert!((prior - 0.5).abs() < 0.01 && nothing < 1e-6 && known > 0.9 && more > known, "{prior} {known} {more}");
}

#[test]
fn choices_tell_the_closed_form_nothing() {
    let world = World::new(0.0);
    let adapter = world.adapter();
    let mut said = world.rated(0.9, 0, None, &mut || 0.0);
    said.iter_mut()
        .for_each(|interaction| interaction.kind = personaroute_bundle::interaction::InteractionKind::Choice);
    assert_eq!(forward(&adapter, &batch(&[said], true)), forward(&adapter, &batch(&[Vec::new()], true)));
}
