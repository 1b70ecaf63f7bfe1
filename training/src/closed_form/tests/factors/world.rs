//! A generated world whose users weigh effect and cost, and may have opinions of LLMs besides.

use ndarray::Array2;
use personaroute_bundle::interaction::{AdapterInteraction, TaskColumns};
use personaroute_bundle::lexical::Lexical;
use tch::Tensor;

use crate::closed_form::ClosedForm;
use crate::closed_form::fit;
use crate::data::{Dataset, Interaction, Interactions, LlmInfo, Query, Setting, Split, TaskInfo, UserInfo};
use crate::fixture;
use crate::graph::query::TextEncoder;
use crate::model::fit::FitInput;
use crate::model::hparams::{Hparams, Part};
use crate::model::rng::Rng;
use crate::model::tensors::{single, to_rows};
use crate::model::{Model as _, TaskInput};

pub(super) const LLMS: usize = 8;
const TASKS: usize = 3;
const TRAIN: u32 = 420;
const SUPPORT: u32 = 60;
const QUERIES: u32 = 720;
const USERS: usize = 160;
const HELD_OUT: usize = 40;
const SEEN: usize = 40;

/// How users' opinions of LLMs differ beyond effect and cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Opinion {
    /// Not at all.
    None,
    /// By one trait of LLMs, liked or disliked.
    Style,
    /// For each LLM independently.
    PerLlm,
}

/// What is rated of a query that a user has seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Feedback {
    Full,
    Bandit,
}

pub(super) struct World {
    pub(super) dataset: Dataset,
    split: Split,
    preferences: Vec<f64>,
    /// `[users][llms]`.
    opinions: Vec<Vec<f64>>,
    noise: f64,
}

impl World {
    pub(super) fn new(opinion: Opinion, noise: f64) -> Self {
        let mut rng = Rng::new(31, &[]);
        let style: Vec<f64> = (0..LLMS).map(|_| rng.normal()).collect();
        let mean = style.iter().sum::<f64>() / LLMS as f64;
        let users = USERS + HELD_OUT;
        let own = |_: usize| -> Vec<f64> {
            let liked = 0.12 * rng.normal();
            let of = |style: &f64| match opinion {
                Opinion::None => 0.0,
                Opinion::Style => liked * (style - mean),
                Opinion::PerLlm => 0.1 * rng.normal(),
            };
            style.iter().map(of).collect()
        };
        let opinions = (0..users).map(own).collect();
        let preferences = (0..users).map(|user| (user * 37 % users) as f64 / (users - 1) as f64).collect();
        let split = Split {
            train: (0..TRAIN).collect(),
            validation: (TRAIN..TRAIN + SUPPORT).collect(),
            test: (TRAIN + SUPPORT..QUERIES).collect(),
        };
        Self { dataset: dataset(), split, preferences, opinions, noise }
    }

    /// Trains on the users who are not held out.
    pub(super) fn train(&self, feedback: Feedback, setting: Setting, without: &[Part]) -> ClosedForm {
        let dir = tempfile::tempdir().unwrap();
        let hparams = Hparams {
            text: TextEncoder::Lexical(Lexical { buckets: 512, max_words: 1, max_ids: 64, seed: 1 }),
            leave_out: without.to_vec(),
            ..Hparams::default()
        };
        fit(&mut FitInput {
            dataset: &self.dataset,
            interactions: &self.interactions(feedback),
            split: &self.split,
            setting,
            hparams,
            device: tch::Device::Cpu,
            seed: 5,
            run_dir: dir.path(),
            initial: None,
            resume: false,
            progress: &mut |_| std::ops::ControlFlow::Continue(()),
        })
        .unwrap()
    }

    /// Mean reward of the trained users' choices.
    pub(super) fn of_trained(&self, model: &ClosedForm) -> f64 {
        self.routed(model, 0, &model.users)
    }

    /// Mean reward of the held-out users' choices after so many rated queries.
    pub(super) fn of_held_out(&self, model: &ClosedForm, queries: usize, feedback: Feedback) -> f64 {
        let all: Vec<Vec<AdapterInteraction>> =
            (USERS..USERS + HELD_OUT).map(|user| self.rated(user, queries, feedback)).collect();
        self.routed(model, USERS, &model.embed_users(&all))
    }

    /// What a user says about queries that nobody was trained on.
    pub(super) fn rated(&self, user: usize, queries: usize, feedback: Feedback) -> Vec<AdapterInteraction> {
        let mut support = self.split.validation.clone();
        let mut rng = Rng::new(34, &[user as u64]);
        rng.shuffle(&mut support);
        let rate = |entry: Interaction| AdapterInteraction {
            llm: entry.llm.into(),
            task: TaskColumns::Declared(entry.query % 3),
            group: entry.query.into(),
            value: entry.value,
            ..AdapterInteraction::default()
        };
        let seen = support.into_iter().take(queries);
        seen.flat_map(|query| self.rate(user, query, feedback, &mut rng)).map(rate).collect()
    }

    /// Mean rewards of the first or the last users: their best single LLM in training, and choices by task means with
    /// known preferences, without and with opinions.
    pub(super) fn references(&self, held_out: bool) -> [f64; 3] {
        let users = if held_out { USERS..USERS + HELD_OUT } else { 0..USERS };
        let mean = |user: usize, task: Option<u32>, llm: usize, opinion: f64| {
            let of = self.split.train.iter().filter(|query| task.is_none_or(|task| **query % 3 == task));
            let (sum, count) =
                of.fold((0.0, 0.0), |(sum, count), &query| (sum + self.without_opinion(user, query, llm), count + 1.0));
            sum / count + opinion * self.opinions[user][llm]
        };
        let best = |score: &dyn Fn(usize) -> f64| (0..LLMS).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
        let mut totals = [0.0; 3];
        for user in users.clone() {
            let single = best(&|llm| mean(user, None, llm, 1.0));
            let pairs: Vec<[usize; 2]> = (0..3)
                .map(|task| [0.0, 1.0].map(|opinion| best(&|llm| mean(user, Some(task), llm, opinion))))
                .collect();
            for &query in &self.split.test {
                let [without_opinion, with_opinions] = pairs[query as usize % TASKS];
                for (total, llm) in totals.iter_mut().zip([single, without_opinion, with_opinions]) {
                    *total += self.reward(user, query, llm);
                }
            }
        }
        totals.map(|total| total / (users.len() * self.split.test.len()) as f64)
    }

    /// Root mean square error of the trained users' preference scores.
    pub(super) fn score_error(&self, model: &ClosedForm) -> f64 {
        let found = model.preference_scores(&model.users);
        let square = found.iter().zip(&self.preferences).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
        (square / found.len() as f64).sqrt()
    }

    pub(super) fn test(&self) -> &[u32] {
        &self.split.test
    }

    fn routed(&self, model: &ClosedForm, first: usize, embeddings: &Tensor) -> f64 {
        let utilities = fixture::utilities(model, &self.dataset, embeddings, (&self.split.test, TaskInput::Declared));
        let mut total = 0.0;
        for (user, rows) in utilities.outer_iter().enumerate() {
            for (row, &query) in rows.outer_iter().zip(&self.split.test) {
                let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
                total += self.reward(first + user, query, best);
            }
        }
        total / (utilities.shape()[0] * utilities.shape()[1]) as f64
    }

    fn without_opinion(&self, user: usize, query: u32, llm: usize) -> f64 {
        let (p, at) = (self.preferences[user], [query as usize, llm]);
        p * f64::from(self.dataset.effect[at]) - (1.0 - p) * f64::from(self.dataset.cost[at])
    }

    fn reward(&self, user: usize, query: u32, llm: usize) -> f64 {
        self.without_opinion(user, query, llm) + self.opinions[user][llm]
    }

    fn rate(&self, user: usize, query: u32, feedback: Feedback, rng: &mut Rng) -> Vec<Interaction> {
        let only = rng.index(LLMS);
        let kept = |llm: &usize| feedback == Feedback::Full || *llm == only;
        let mut rate = |llm: usize| {
            let reward = single(self.reward(user, query, llm) + self.noise * rng.normal());
            Interaction::rating(query, u16::try_from(llm).unwrap(), reward)
        };
        (0..LLMS).filter(kept).map(&mut rate).collect()
    }

    fn interactions(&self, feedback: Feedback) -> Interactions {
        let mut rng = Rng::new(32, &[]);
        let mut all = Interactions { offsets: vec![0], ..Interactions::default() };
        for user in 0..USERS {
            let mut seen = self.split.train.clone();
            rng.shuffle(&mut seen);
            seen.truncate(SEEN);
            seen.sort_unstable();
            for query in seen {
                all.entries.extend(self.rate(user, query, feedback, &mut rng));
            }
            all.offsets.push(all.entries.len());
            all.users.push(UserInfo { id: user.to_string(), preference: None });
        }
        all
    }
}

/// Expected effects of test queries' best answers by a declared preference, for one user.
pub(super) fn declared_effects(world: &World, model: &ClosedForm, user: i64, preference: f64) -> Vec<f32> {
    let values = model.query_values(&world.dataset, world.test(), TaskInput::Inferred).values;
    let embedding = model.users.narrow(0, user, 1);
    let weights = model.declared(&Tensor::from_slice(&[single(preference)]).unsqueeze(1), &embedding).squeeze_dim(0);
    let (utilities, effects) = (to_rows(&values.matmul(&weights)), to_rows(&values.matmul(&model.preference.effect)));
    let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    utilities.iter().zip(&effects).map(|(utility, effect)| effect[best(utility)]).collect()
}

fn dataset() -> Dataset {
    let mut rng = Rng::new(35, &[]);
    let price = |llm: usize| single(0.1 * 1.9_f64.powi(i32::try_from(llm).unwrap()));
    let llm = |llm: usize| LlmInfo {
        id: format!("llm-{llm}"),
        description: String::new(),
        model: String::new(),
        input_price: price(llm),
        output_price: 3.0 * price(llm),
        family: None,
    };
    let level: Vec<f64> = (0..TASKS * LLMS).map(|at| 0.25 * (at % LLMS) as f64 - 1.0 + 0.7 * rng.normal()).collect();
    let base: Vec<f64> = (0..LLMS).map(|llm| 0.1 + 0.1 * llm as f64 + 0.03 * rng.normal()).collect();
    let shape = (QUERIES as usize, LLMS);
    let difficulty: Vec<f64> = (0..QUERIES).map(|_| rng.normal()).collect();
    let effect = Array2::from_shape_fn(shape, |(query, llm)| {
        let better = level[query % TASKS * LLMS + llm] + difficulty[query] + rng.normal();
        if better > 0.0 { 1.0 } else { 0.0 }
    });
    let cost = Array2::from_shape_fn(shape, |(_, llm)| single(base[llm] + 0.03 * rng.normal()));
    let words = [["add", "sum", "apples"], ["loop", "print", "code"], ["poem", "rhyme", "story"]];
    let text =
        |id: u32| (0..4).map(|n| words[id as usize % TASKS][(id as usize / 3 + n) % 3]).collect::<Vec<_>>().join(" ");
    let query = |id: u32| Query { id: id.into(), task: id % 3, text: text(id) };
    Dataset {
        name: "generated".to_owned(),
        llms: (0..LLMS).map(llm).collect(),
        llm_embeddings: Array2::zeros((LLMS, 0)),
        tasks: (0..TASKS).map(|t| TaskInfo { name: t.to_string(), description: String::new() }).collect(),
        task_embeddings: Array2::zeros((TASKS, 0)),
        queries: (0..QUERIES).map(query).collect(),
        query_embeddings: Array2::zeros((QUERIES as usize, 0)),
        effect,
        cost,
        fingerprint: "generated".to_owned(),
    }
}
