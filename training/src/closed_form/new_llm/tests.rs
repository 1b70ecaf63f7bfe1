//! Facts about new LLMs, on answers drawn from the very model that the estimate assumes.

use super::*;
use crate::model::rng::Rng;

const TASKS: usize = 4;
const LLMS: usize = 8;
const QUERIES: usize = 400;

/// Answers of known LLMs and, in the last column, of one that training does not see.
struct World {
    components: Components,
    /// `[queries]` of the new LLM: worth at both ends.
    new: Vec<Pair>,
    /// `[tasks]` of the new LLM beyond its peers, both ends.
    truth: Vec<Pair>,
    prices: Vec<f64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, &[1]);
        let prices: Vec<f64> = (0..=LLMS).map(|_| rng.normal()).collect();
        let levels: Vec<f64> = (0..=LLMS).map(|_| 0.15 * rng.normal()).collect();
        let tasks: Vec<f64> = (0..TASKS * (LLMS + 1)).map(|_| 0.1 * rng.normal()).collect();
        let ease: Vec<f64> = (0..QUERIES).map(|_| 0.2 * rng.normal()).collect();
        let cell = |task: usize, llm: usize| [levels[llm] + tasks[task * (LLMS + 1) + llm], -0.3 * prices[llm]];
        let mut of = |query: usize, llm: usize| {
            let [high, low] = cell(query % TASKS, llm);
            [0.5 + ease[query] + high + 0.3 * rng.normal(), -0.4 + low + 0.02 * rng.normal()]
        };
        let rows: Vec<Vec<Pair>> = (0..QUERIES).map(|query| (0..=LLMS).map(|llm| of(query, llm)).collect()).collect();
        let known =
            |end: usize| -> Vec<f64> { rows.iter().flat_map(|row| row[..LLMS].iter().map(move |p| p[end])).collect() };
        let shape = [QUERIES as i64, LLMS as i64];
        let [high, low] = [known(0), known(1)].map(|flat| Tensor::from_slice(&flat).view(shape));
        let index = Tensor::from_slice(&(0..QUERIES).map(|query| (query % TASKS) as i64).collect::<Vec<_>>());
        let weight = Tensor::ones(shape, (Kind::Double, Device::Cpu));
        let cells = |end: &Tensor| crate::closed_form::components::cell_means(end, &weight, &index, TASKS as i64);
        let (cell_high, cell_low) = (cells(&high), cells(&low));
        let peers = |task: usize, end: usize| (0..LLMS).map(|llm| cell(task, llm)[end]).sum::<f64>() / LLMS as f64;
        let truth = (0..TASKS).map(|t| [0, 1].map(|end| cell(t, LLMS)[end] - peers(t, end))).collect();
        let components = Components {
            queries: (0_u32..).take(QUERIES).collect(),
            tasks: index,
            positions: Tensor::from_slice(&[0.25, 0.75]),
            high,
            low,
            weight,
            cell_high,
            cell_low,
            noise: 0.0,
            tastes: None,
        };
        Self { components, new: rows.iter().map(|row| row[LLMS]).collect(), truth, prices }
    }

    fn peers(&self) -> Peers {
        Peers::new(&self.components, &self.prices[..LLMS]).unwrap()
    }

    /// Ratings of the first queries by users at these places.
    fn heard(&self, queries: usize, places: &[f64]) -> Vec<Heard> {
        let rate =
            |row: usize, position: f64| Heard { row, position, reward: dot([position, 1.0 - position], self.new[row]) };
        (0..queries).flat_map(|row| places.iter().map(move |&place| rate(row, place))).collect()
    }

    /// Mean squared errors at both ends, caution put back on.
    fn error(&self, found: &Newcomer) -> Pair {
        let mean = |found: &[f64], end: usize| {
            found.iter().zip(&self.truth).map(|(found, truth)| (found - truth[end]).powi(2)).sum::<f64>() / TASKS as f64
        };
        [mean(&found.high, 0), mean(&found.low, 1)]
    }
}

/// Mean over worlds of root mean squared errors.
fn errors(queries: usize, places: &[f64]) -> Pair {
    let worlds: Vec<World> = (0..20).map(World::new).collect();
    let sum = worlds.iter().fold([0.0; 2], |sum, world| {
        add(sum, world.error(&world.peers().estimate(world.prices[LLMS], &world.heard(queries, places))))
    });
    sum.map(|x| (x / worlds.len() as f64).sqrt())
}

#[test]
fn ratings_sharpen_the_estimate_of_both_ends() {
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
fn nobody_known_is_taken_to_be_bad_and_caution_ends_with_data() {
    let world = World::new(3);
    let peers = world.peers();
    let prior = peers.estimate(world.prices[LLMS], &[]);
    let expected = -CAUTION * (peers.high.between + peers.high.task).sqrt();
    assert!(prior.high.iter().all(|high| (high - expected).abs() < 1e-9), "{:?} {expected}", prior.high);
    let known = peers.estimate(world.prices[LLMS], &world.heard(400, &[0.3, 0.8]));
    assert!(known.deviation.iter().zip(&prior.deviation).all(|(after, before)| after < &(0.3 * before)));
    assert!(prior.answers.is_empty() && known.answers.len() == 400);
}

#[test]
fn rated_answers_are_recovered() {
    let world = World::new(5);
    let found = world.peers().estimate(world.prices[LLMS], &world.heard(50, &[0.1, 0.4, 0.9]));
    for answer in &found.answers {
        let [high, low] = world.new[answer.row];
        assert!((answer.high - high).abs() < 0.05 && (answer.low - low).abs() < 0.05, "{answer:?} {high} {low}");
        assert!(answer.weight > 0.9);
    }
}

#[test]
fn deviations_are_as_large_as_errors() {
    let (mut squares, mut count) = (0.0, 0.0);
    for seed in 0..40 {
        let world = World::new(seed);
        let peers = world.peers();
        let found = peers.estimate(world.prices[LLMS], &world.heard(40, &[0.5]));
        for (task, truth) in world.truth.iter().enumerate() {
            let open = peers.high.between + peers.high.task;
            // Caution is undone: it is known from the estimate's own variance, near enough that of the mean user.
            let sd = found.deviation[task];
            let reward = 0.5 * found.high[task] + 0.5 * found.low[task];
            let off = reward - 0.5 * (truth[0] + truth[1]);
            let undone = off + 0.5 * CAUTION * (2.0 * sd).powi(3) / open;
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
    for tensor in [&mut components.high, &mut components.low, &mut components.weight] {
        *tensor = tensor.narrow(1, 0, 1);
    }
    components.tasks = components.tasks.zeros_like();
    components.cell_high = components.high.mean_dim(0, true, Kind::Double);
    components.cell_low = components.low.mean_dim(0, true, Kind::Double);
    let peers = Peers::new(&components, &[0.0]).unwrap();
    let found = peers.estimate(0.3, &[Heard { row: 0, position: 0.5, reward: 0.2 }]);
    assert!(found.high.iter().chain(&found.low).chain(&found.deviation).all(|x| x.is_finite()), "{found:?}");
    assert!(Peers::new(&components, &[]).is_err());
}
