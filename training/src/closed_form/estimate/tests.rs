//! Facts about estimation, on generated data whose truth is known.

use ndarray::Array2;
use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::estimate::estimate;
use crate::data::{Dataset, Interaction, Interactions, LlmInfo, Query, Setting, TaskInfo, UserInfo};
use crate::model::rng::Rng;
use crate::model::tensors::single;

const TASKS: usize = 2;
const LLMS: usize = 4;
const QUERIES: usize = 240;
const IDS: std::ops::Range<u32> = 0..240;
const COLUMNS: [u16; LLMS] = [0, 1, 2, 3];
const USERS: usize = 150;

/// Effects of 0 or 1 that depend on how hard a query is, costs by LLM, users spread evenly.
struct World {
    dataset: Dataset,
    preferences: Vec<f64>,
}

impl World {
    fn new() -> Self {
        let mut rng = Rng::new(3, &[]);
        let llm = |index: usize| LlmInfo {
            id: format!("llm-{index}"),
            description: String::new(),
            model: String::new(),
            input_price: 1.0,
            output_price: 1.0,
            family: None,
        };
        let mut effect = Array2::zeros((QUERIES, LLMS));
        for mut row in effect.rows_mut() {
            let hard = rng.normal();
            for (llm, value) in row.iter_mut().enumerate() {
                let better = 0.7 * llm as f64 - 1.0 - hard + 0.7 * rng.normal();
                *value = if better > 0.0 { 1.0_f32 } else { 0.0 };
            }
        }
        let dataset = Dataset {
            name: "generated".to_owned(),
            llms: (0..LLMS).map(llm).collect(),
            llm_embeddings: Array2::zeros((LLMS, 0)),
            tasks: (0..TASKS).map(|t| TaskInfo { name: t.to_string(), description: String::new() }).collect(),
            task_embeddings: Array2::zeros((TASKS, 0)),
            queries: IDS.map(|id| Query { id: id.into(), task: id % 2, text: String::new() }).collect(),
            query_embeddings: Array2::zeros((QUERIES, 0)),
            effect,
            cost: Array2::from_shape_fn((QUERIES, LLMS), |(query, llm)| 0.2 * llm as f32 + 0.1 * (query % 2) as f32),
            fingerprint: String::new(),
        };
        let preferences = (0..USERS).map(|user| user as f64 / (USERS - 1) as f64).collect();
        Self { dataset, preferences }
    }

    /// Ratings of `seen` queries a user; of one LLM each in the bandit form.
    fn ratings(&self, seen: usize, bandit: bool, noise: f64) -> Interactions {
        let mut rng = Rng::new(4, &[]);
        let mut all = Interactions { offsets: vec![0], ..Interactions::default() };
        for (number, &p) in self.preferences.iter().enumerate() {
            let mut queries: Vec<u32> = IDS.collect();
            rng.shuffle(&mut queries);
            for &query in &queries[..seen] {
                let only = rng.index(LLMS);
                for llm in COLUMNS.into_iter().filter(|llm| !bandit || usize::from(*llm) == only) {
                    let at = [query as usize, usize::from(llm)];
                    let (effect, cost) = (f64::from(self.dataset.effect[at]), f64::from(self.dataset.cost[at]));
                    let reward = single(p * effect - (1.0 - p) * cost + noise * rng.normal());
                    all.entries.push(Interaction::rating(query, llm, reward));
                }
            }
            all.offsets.push(all.entries.len());
            all.users.push(UserInfo { id: number.to_string(), preference: None });
        }
        all
    }

    fn estimate(&self, interactions: &Interactions, setting: Setting) -> Components {
        estimate((&self.dataset, interactions), setting, &[], Device::Cpu)
    }

    /// Largest and mean error of preference scores.
    fn score_errors(&self, found: &Components) -> [f64; 2] {
        let truth = Tensor::from_slice(&self.preferences);
        let error = (&found.scores - truth).abs();
        [error.max().double_value(&[]), error.mean(Kind::Double).double_value(&[])]
    }

    /// Largest error of the tasks' mean effects and of their costs.
    fn mean_errors(&self, found: &Components) -> [f64; 2] {
        let mean = |array: &Array2<f32>, task: usize, llm: usize| {
            let of_task = (task..QUERIES).step_by(TASKS).map(|query| f64::from(array[[query, llm]]));
            of_task.sum::<f64>() / (QUERIES / TASKS) as f64
        };
        let mut worst = [0.0_f64; 2];
        for (task, llm) in (0..TASKS).flat_map(|task| (0..LLMS).map(move |llm| (task, llm))) {
            let at = [task as i64, llm as i64];
            let effect = found.effect_means.double_value(&at) - mean(&self.dataset.effect, task, llm);
            let cost = found.cost_means.double_value(&at) + mean(&self.dataset.cost, task, llm);
            worst = [worst[0].max(effect.abs()), worst[1].max(cost.abs())];
        }
        worst
    }
}

#[test]
fn users_and_answers_of_noiseless_ratings_are_recovered() {
    let world = World::new();
    let found = world.estimate(&world.ratings(40, false, 0.0), Setting::Rewards);
    assert!(world.score_errors(&found)[0] < 1e-3, "{:?}", world.score_errors(&found));
    let expected: Vec<f64> = world.dataset.effect.iter().map(|&effect| f64::from(effect)).collect();
    let error = (found.effect.view([-1]) - Tensor::from_slice(&expected)).abs().max().double_value(&[]);
    assert!(error < 1e-2, "{error}");
    assert!(found.noise < 1e-2);
    assert!(found.weight.eq(1.0).all().int64_value(&[]) == 1);
}

#[test]
fn one_rated_answer_a_query_determines_users_and_means() {
    let world = World::new();
    let found = world.estimate(&world.ratings(40, true, 0.0), Setting::Rewards);
    assert!(world.score_errors(&found)[1] < 0.03, "{:?}", world.score_errors(&found));
    let [effect, cost] = world.mean_errors(&found);
    assert!(effect < 0.08 && cost < 0.03, "{effect} {cost}");
}

#[test]
fn noise_changes_scores_little_and_is_estimated() {
    let world = World::new();
    let found = world.estimate(&world.ratings(60, false, 0.1), Setting::Rewards);
    assert!(world.score_errors(&found)[1] < 0.03, "{:?}", world.score_errors(&found));
    assert!((found.noise - 0.1).abs() < 0.03, "{}", found.noise);
    let [effect, cost] = world.mean_errors(&found);
    assert!(effect < 0.05 && cost < 0.05, "{effect} {cost}");
    assert!(found.factors.is_none());
}

#[test]
fn known_effects_and_costs_are_used_as_they_are() {
    let world = World::new();
    let found = world.estimate(&world.ratings(10, true, 0.0), Setting::EffectCost);
    assert!(world.score_errors(&found)[0] < 1e-5);
    let [effect, cost] = world.mean_errors(&found);
    assert!(effect < 0.02 && cost < 0.02, "{effect} {cost}");
}

#[test]
fn an_answer_nobody_rated_is_its_pairs_mean_and_has_no_weight() {
    let world = World::new();
    let mut ratings = world.ratings(40, false, 0.0);
    // LLM 2 was never asked anything of task 1.
    let keep = |entry: &Interaction| !(entry.llm == 2 && entry.query % 2 == 1);
    let mut shown = Interactions { users: ratings.users.clone(), offsets: vec![0], entries: Vec::new() };
    for user in 0..USERS {
        shown.entries.extend(ratings.of(user).iter().copied().filter(keep));
        shown.offsets.push(shown.entries.len());
    }
    std::mem::swap(&mut ratings, &mut shown);
    let found = world.estimate(&ratings, Setting::Rewards);
    let row = found.queries.iter().position(|query| query % 2 == 1).unwrap() as i64;
    assert!(found.weight.double_value(&[row, 2]).abs() < 1e-12);
    let value = found.effect.double_value(&[row, 2]);
    assert!((value - found.effect_means.double_value(&[1, 2])).abs() < 1e-9);
    assert!((0.2..0.9).contains(&value), "{value}");
}

#[test]
fn nothing_degenerate_stops_estimation() {
    let world = World::new();
    let single = Interactions {
        users: vec![
            UserInfo { id: "only".to_owned(), preference: None },
            UserInfo { id: "none".to_owned(), preference: None },
        ],
        offsets: vec![0, 2, 2],
        entries: vec![Interaction::rating(5, 1, 0.5); 2],
    };
    for setting in [Setting::Rewards, Setting::EffectCost] {
        let found = world.estimate(&single, setting);
        let all = [&found.scores, &found.effect, &found.cost, &found.weight, &found.effect_means, &found.cost_means];
        assert!(all.iter().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1), "{setting:?}: {found:?}");
        assert_eq!(found.effect.size(), [1, 4]);
    }
}
