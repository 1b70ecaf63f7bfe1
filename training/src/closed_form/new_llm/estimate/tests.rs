//! Facts about new LLMs, on answers drawn from the very model that the estimate assumes.

use super::*;
use crate::model::rng::Rng;
use tch::Device;

const TASKS: usize = 4;
const LLMS: usize = 8;
const QUERIES: usize = 400;

/// Answers of known LLMs and, in the last column, of one that training does not see.
struct World {
    components: Components,
    /// `[queries]` of the new LLM: both coefficients.
    new: Vec<Pair>,
    /// `[tasks]` of the new LLM minus the known LLMs, both coefficients.
    truth: Vec<Pair>,
    prices: Vec<f64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, &[1]);
        let prices: Vec<f64> = (0..=LLMS).map(|_| rng.normal()).collect();
        let llm_means: Vec<f64> = (0..=LLMS).map(|_| 0.15 * rng.normal()).collect();
        let tasks: Vec<f64> = (0..TASKS * (LLMS + 1)).map(|_| 0.1 * rng.normal()).collect();
        let difficulty: Vec<f64> = (0..QUERIES).map(|_| 0.2 * rng.normal()).collect();
        let pair = |task: usize, llm: usize| [llm_means[llm] + tasks[task * (LLMS + 1) + llm], -0.3 * prices[llm]];
        let mut of = |query: usize, llm: usize| {
            let [effect, cost] = pair(query % TASKS, llm);
            [0.5 + difficulty[query] + effect + 0.3 * rng.normal(), -0.4 + cost + 0.02 * rng.normal()]
        };
        let rows: Vec<Vec<Pair>> = (0..QUERIES).map(|query| (0..=LLMS).map(|llm| of(query, llm)).collect()).collect();
        let of_known =
            |end: usize| -> Vec<f64> { rows.iter().flat_map(|row| row[..LLMS].iter().map(move |p| p[end])).collect() };
        let shape = [QUERIES as i64, LLMS as i64];
        let [effect, cost] = [of_known(0), of_known(1)].map(|flat| Tensor::from_slice(&flat).view(shape));
        let index = Tensor::from_slice(&(0..QUERIES).map(|query| (query % TASKS) as i64).collect::<Vec<_>>());
        let weight = Tensor::ones(shape, (Kind::Double, Device::Cpu));
        let means = |end: &Tensor| crate::closed_form::components::task_llm_means(end, &weight, &index, TASKS as i64);
        let (effect_means, cost_means) = (means(&effect), means(&cost));
        let mean = |task: usize, end: usize| (0..LLMS).map(|llm| pair(task, llm)[end]).sum::<f64>() / LLMS as f64;
        let truth = (0..TASKS).map(|t| [0, 1].map(|end| pair(t, LLMS)[end] - mean(t, end))).collect();
        let components = Components {
            queries: (0_u32..).take(QUERIES).collect(),
            tasks: index,
            scores: Tensor::from_slice(&[0.25, 0.75]),
            effect,
            cost,
            weight,
            effect_means,
            cost_means,
            noise: 0.0,
            factors: None,
        };
        Self { components, new: rows.iter().map(|row| row[LLMS]).collect(), truth, prices }
    }

    fn known(&self) -> KnownLlms {
        KnownLlms::new(&self.components, &self.prices[..LLMS]).unwrap()
    }

    /// Ratings of the first queries by users with these scores.
    fn ratings(&self, queries: usize, scores: &[f64]) -> Vec<NewRating> {
        let rate = |row: usize, score: f64| NewRating { row, score, reward: dot([score, 1.0 - score], self.new[row]) };
        (0..queries).flat_map(|row| scores.iter().map(move |&score| rate(row, score))).collect()
    }

    /// Mean squared errors of both coefficients.
    fn error(&self, found: &NewLlm) -> Pair {
        let mean = |found: &[f64], end: usize| {
            found.iter().zip(&self.truth).map(|(found, truth)| (found - truth[end]).powi(2)).sum::<f64>() / TASKS as f64
        };
        [mean(&found.effect, 0), mean(&found.cost, 1)]
    }
}

/// Mean over worlds of root mean squared errors.
fn errors(queries: usize, scores: &[f64]) -> Pair {
    let worlds: Vec<World> = (0..20).map(World::new).collect();
    let sum = worlds.iter().fold([0.0; 2], |sum, world| {
        add(sum, world.error(&world.known().estimate(world.prices[LLMS], &world.ratings(queries, scores))))
    });
    sum.map(|x| (x / worlds.len() as f64).sqrt())
}

#[test]
fn ratings_sharpen_the_estimates_of_effect_and_cost() {
    let [none, few, many] = [0, 20, 300].map(|queries| errors(queries, &[0.2, 0.5, 0.9]));
    assert!(none[0] > 0.25 && few[0] < 0.15 && many[0] < 0.06, "{none:?} {few:?} {many:?}");
    // The price tells most of the cost beforehand.
    assert!(none[1] < 0.1 && many[1] < 0.03, "{none:?} {many:?}");
}

#[test]
fn one_rating_of_each_answer_is_enough_to_learn_from() {
    let found = errors(200, &[0.6]);
    assert!(found[0] < 0.1, "{found:?}");
}

#[test]
fn without_ratings_the_effect_is_a_lower_bound_that_ratings_tighten() {
    let world = World::new(3);
    let known = world.known();
    let prior = known.estimate(world.prices[LLMS], &[]);
    let expected = -CONFIDENCE_BOUND * (known.effect.between + known.effect.task).sqrt();
    assert!(prior.effect.iter().all(|effect| (effect - expected).abs() < 1e-9), "{:?} {expected}", prior.effect);
    let rated = known.estimate(world.prices[LLMS], &world.ratings(400, &[0.3, 0.8]));
    assert!(rated.deviation.iter().zip(&prior.deviation).all(|(after, before)| after < &(0.3 * before)));
    assert!(prior.answers.is_empty() && rated.answers.len() == 400);
}

#[test]
fn rated_answers_are_recovered() {
    let world = World::new(5);
    let found = world.known().estimate(world.prices[LLMS], &world.ratings(50, &[0.1, 0.4, 0.9]));
    for answer in &found.answers {
        let [effect, cost] = world.new[answer.row];
        assert!(
            (answer.effect - effect).abs() < 0.05 && (answer.cost - cost).abs() < 0.05,
            "{answer:?} {effect} {cost}"
        );
        assert!(answer.weight > 0.9);
    }
}

#[test]
fn deviations_are_as_large_as_errors() {
    let (mut squares, mut count) = (0.0, 0.0);
    for seed in 0..40 {
        let world = World::new(seed);
        let known = world.known();
        let found = known.estimate(world.prices[LLMS], &world.ratings(40, &[0.5]));
        for (task, truth) in world.truth.iter().enumerate() {
            let open = known.effect.between + known.effect.task;
            // The bound is undone: it is known from the estimate's own variance, near enough that of the mean user.
            let sd = found.deviation[task];
            let reward = 0.5 * found.effect[task] + 0.5 * found.cost[task];
            let off = reward - 0.5 * (truth[0] + truth[1]);
            let undone = off + 0.5 * CONFIDENCE_BOUND * (2.0 * sd).powi(3) / open;
            squares += (undone / sd).powi(2);
            count += 1.0;
        }
    }
    let ratio = (squares / count).sqrt();
    assert!((0.6..1.7).contains(&ratio), "{ratio}");
}

#[test]
fn one_known_llm_and_one_task_are_enough_to_go_on() {
    let world = World::new(1);
    let mut components = world.components;
    for tensor in [&mut components.effect, &mut components.cost, &mut components.weight] {
        *tensor = tensor.narrow(1, 0, 1);
    }
    components.tasks = components.tasks.zeros_like();
    components.effect_means = components.effect.mean_dim(0, true, Kind::Double);
    components.cost_means = components.cost.mean_dim(0, true, Kind::Double);
    let known = KnownLlms::new(&components, &[0.0]).unwrap();
    let found = known.estimate(0.3, &[NewRating { row: 0, score: 0.5, reward: 0.2 }]);
    assert!(found.effect.iter().chain(&found.cost).chain(&found.deviation).all(|x| x.is_finite()), "{found:?}");
    assert!(KnownLlms::new(&components, &[]).is_err());
}
