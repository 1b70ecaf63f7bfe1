//! Facts about the adapter on answers made here, whose worth is known.

use personaroute_bundle::signals::{Rated, signals};

use super::*;
use crate::graph::interaction::{InteractionBatch, InteractionFeatures};
use crate::model::rng::Rng;
use crate::model::tensors::{single, to_vec};

const LLMS: usize = 4;
const TASKS: usize = 2;
const QUERIES: usize = 240;

/// Answers that are right or wrong, by dear LLMs more often right, each LLM with a price of its own.
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
        let low: Vec<f64> = (0..QUERIES * LLMS).map(|at| -price(at % LLMS)).collect();
        let tasks: Vec<i64> = (0..QUERIES).map(|query| (query % TASKS) as i64).collect();
        let cells = || Tensor::zeros([TASKS as i64, LLMS as i64], (Kind::Double, Device::Cpu));
        let components = Components {
            queries: (0_u32..).take(QUERIES).collect(),
            tasks: Tensor::from_slice(&tasks),
            positions: Tensor::linspace(0.0, 1.0, 101, (Kind::Double, Device::Cpu)),
            high: double(&effect),
            low: double(&low),
            weight: Tensor::ones(shape, (Kind::Double, Device::Cpu)),
            cell_high: cells(),
            cell_low: cells(),
            noise,
            tastes: None,
        };
        Self { components, effect }
    }

    fn belief(&self) -> Belief {
        fit(&self.components, |places| places.unsqueeze(1))
    }

    /// What a user at `place` says about all answers to a query, or about one.
    fn rated(&self, place: f64, query: usize, only: Option<usize>, noise: &mut dyn FnMut() -> f64) -> Vec<Rated> {
        let task = u32::try_from(query % TASKS).ok();
        let reward = |llm: usize| place * self.effect[query * LLMS + llm] - (1.0 - place) * price(llm);
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

fn visible(users: &[Vec<Rated>], known: bool) -> InteractionBatch {
    let message = |(rated, signals): (&Rated, [f32; 3])| InteractionFeatures {
        llm: i64::from(rated.llm),
        task: rated.task.filter(|_| known).map_or(-1, i64::from),
        signals,
    };
    let lists: Vec<Vec<InteractionFeatures>> =
        users.iter().map(|rated| rated.iter().zip(signals(rated)).map(message).collect()).collect();
    InteractionBatch::pad(&lists, TASKS)
}

/// Root mean squared error of the places of 60 users who rated so many queries.
fn error(world: &World, belief: &Belief, queries: usize, (bandit, known, noise): (bool, bool, f64)) -> f64 {
    let mut rng = Rng::new(9, &[]);
    let places: Vec<f64> = (0..60).map(|user| (f64::from(user) + 0.5) / 60.0).collect();
    let mut users = Vec::new();
    for &place in &places {
        let mut all = Vec::new();
        for _ in 0..queries {
            let (query, only) = (rng.index(QUERIES), bandit.then(|| rng.index(LLMS)));
            all.extend(world.rated(place, query, only, &mut || noise * rng.normal()));
        }
        users.push(all);
    }
    let found = to_vec(&belief.forward(&visible(&users, known), TASKS));
    let squares = found.iter().zip(&places).map(|(found, place)| (f64::from(*found) - place).powi(2));
    (squares.sum::<f64>() / places.len() as f64).sqrt()
}

#[test]
fn a_few_ratings_place_a_user() {
    let world = World::new(0.0);
    let belief = world.belief();
    let of = |queries, bandit, known| error(&world, &belief, queries, (bandit, known, 0.0));
    assert!(of(1, false, true) < 0.03, "{}", of(1, false, true));
    assert!(of(3, true, true) < 0.08, "{}", of(3, true, true));
    assert!(of(10, true, true) < 0.02, "{}", of(10, true, true));
    assert!(of(10, true, false) < 0.02, "{}", of(10, true, false));
}

#[test]
fn noise_that_is_known_costs_sharpness_only() {
    let world = World::new(0.1);
    let belief = world.belief();
    let of = |queries| error(&world, &belief, queries, (false, true, 0.1));
    assert!(of(3) < 0.1 && of(20) < 0.03, "{} {}", of(3), of(20));
}

#[test]
fn without_ratings_the_belief_is_the_populations() {
    let world = World::new(0.0);
    let belief = world.belief();
    let mean = to_vec(&belief.forward(&visible(&[Vec::new()], true), TASKS));
    assert!((mean[0] - 0.5).abs() < 0.01, "{mean:?}");
}

#[test]
fn a_user_who_contradicts_himself_is_placed_between_and_stays_in_doubt() {
    let world = World::new(0.02);
    let belief = world.belief();
    let mut silent = || 0.0;
    let mut torn = Vec::new();
    for query in 0..4 {
        let place = if query % 2 == 0 { 0.1 } else { 0.9 };
        torn.extend(world.rated(place, query, Some(1), &mut silent));
    }
    let steady: Vec<Rated> = (0..4).flat_map(|query| world.rated(0.9, query, Some(1), &mut silent)).collect();
    let posterior = belief.posterior(&visible(&[torn, steady], true), TASKS);
    let doubt = to_vec(&belief.doubt(&posterior));
    assert!(doubt[0] > 2.0 * doubt[1], "{doubt:?}");
    let places = to_vec(&posterior.mv(&belief.places()));
    assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
}

#[test]
fn one_wild_reward_does_not_settle_a_place() {
    let world = World::new(0.0);
    let belief = world.belief();
    let mut silent = || 0.0;
    let mut all: Vec<Rated> =
        (0..6).flat_map(|query| world.rated(0.7, query, Some(query % LLMS), &mut silent)).collect();
    all[0].reward = 40.0;
    let found = to_vec(&belief.forward(&visible(&[all], true), TASKS));
    assert!((found[0] - 0.7).abs() < 0.1, "{found:?}");
}

#[test]
fn pairs_nobody_rated_say_nothing_and_rare_ones_lean_on_their_llm() {
    let mut world = World::new(0.0);
    // The last LLM was never rated, the first only once.
    let keep: Vec<f64> =
        (0..QUERIES * LLMS).map(|at| if at % LLMS == 3 || (at % LLMS == 0 && at > 0) { 0.0 } else { 1.0 }).collect();
    world.components.weight = Tensor::from_slice(&keep).view([QUERIES as i64, LLMS as i64]);
    let belief = world.belief();
    assert!(to_vec(&belief.table).iter().all(|x| x.is_finite() && *x <= 0.0));
    let rated = |llm| vec![Rated { llm, task: Some(0), query: 0, reward: -0.3 }];
    let posterior = belief.posterior(&visible(&[Vec::new(), rated(3)], true), TASKS);
    let rows: Vec<f32> = to_vec(&(posterior.get(0) - posterior.get(1)).abs().max());
    assert!(rows[0] < 1e-4, "{rows:?}");
}

#[test]
fn many_llms_and_tasks_are_squeezed_into_a_small_table() {
    assert_eq!(sizes(15 * 9), (BINS, PLACES));
    let (bins, places) = sizes(16 * 100);
    assert!(16 * 100 * bins * places <= ELEMENTS && bins >= FEWEST && places >= FEWEST);
    assert_eq!(sizes(1_000_000), (FEWEST, FEWEST));
}
