//! Generated data for tests: tasks that different LLMs are good at, users that weigh effect and cost differently.

use std::ops::ControlFlow;
use std::path::Path;

use ndarray::{Array2, Array3};
use personaroute_bundle::lexical::Lexical;
use tch::{Device, Tensor};

use crate::closed_form::{self, ClosedForm};
use crate::data::{Dataset, Interaction, Interactions, LlmInfo, Query, Setting, Split, TaskInfo, UserInfo};
use crate::gnn::{self, Gnn};
use crate::graph::query::TextEncoder;
use crate::model::fit::{FitInput, Progress};
use crate::model::hparams::Hparams;
use crate::model::rng::Rng;
use crate::model::tensors::single;
use crate::model::{Model, TaskInput};

const LLMS: usize = 4;
const TASKS: usize = 3;
const QUERIES: usize = 180;
const QUERY_IDS: std::ops::Range<u32> = 0..180;
const PRICES: [f32; LLMS] = [0.1, 0.4, 1.6, 6.4];
const USERS: usize = 48;

/// Data, who saw what, and the split.
pub(crate) struct Fixture {
    pub(crate) dataset: Dataset,
    pub(crate) interactions: Interactions,
    pub(crate) split: Split,
    pub(crate) preferences: Vec<f32>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dataset = dataset();
        let (train, test) = QUERY_IDS.partition(|query| query % 6 != 0);
        let split = Split { train, validation: Vec::new(), test };
        let preferences: Vec<f32> = (0..USERS).map(|user| user as f32 / (USERS - 1) as f32).collect();
        let interactions = interactions(&dataset, &split.train, &preferences);
        Self { dataset, interactions, split, preferences }
    }

    pub(crate) fn reward(&self, user: usize, query: u32, llm: usize) -> f32 {
        reward(&self.dataset, self.preferences[user], query, llm)
    }

    /// Returns a model's utilities `[users, queries, llms]` for user embeddings and the test queries.
    pub(crate) fn utilities(&self, model: &dyn Model, embeddings: &Tensor, task: TaskInput) -> Array3<f32> {
        utilities(model, &self.dataset, embeddings, (&self.split.test, task))
    }

    /// Trains in `dir`, until the users have been estimated so many times if that is said.
    pub(crate) fn train(
        &self,
        dir: &Path,
        setting: Setting,
        resume: bool,
        stop: Option<usize>,
    ) -> anyhow::Result<ClosedForm> {
        self.train_with(&hparams(), (dir, setting, resume), stop)
    }

    pub(crate) fn train_with(
        &self,
        hparams: &Hparams,
        (dir, setting, resume): (&Path, Setting, bool),
        stop: Option<usize>,
    ) -> anyhow::Result<ClosedForm> {
        let mut progress = |progress: &Progress| match stop {
            Some(epoch) if progress.stage == "users" && progress.epoch >= epoch => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let mut input = FitInput {
            dataset: &self.dataset,
            interactions: &self.interactions,
            split: &self.split,
            setting,
            hparams: hparams.clone(),
            device: Device::Cpu,
            seed: 5,
            run_dir: dir,
            initial: None,
            resume,
            progress: &mut progress,
        };
        input.check()?;
        let model = closed_form::fit(&mut input)?;
        model.save(dir)?;
        Ok(model)
    }
}

/// A run of the graph network.
pub(crate) struct NetworkRun<'a> {
    pub(crate) hparams: Hparams,
    pub(crate) dir: &'a Path,
    pub(crate) seed: u64,
    pub(crate) resume: bool,
    /// Epoch after which the run is interrupted.
    pub(crate) stop: Option<usize>,
}

impl<'a> NetworkRun<'a> {
    pub(crate) fn new(hparams: Hparams, dir: &'a Path) -> Self {
        Self { hparams, dir, seed: 5, resume: false, stop: None }
    }

    /// Trains on the data of a fixture.
    pub(crate) fn train(self, fixture: &Fixture) -> anyhow::Result<Gnn> {
        let mut progress = |progress: &Progress| match self.stop {
            Some(epoch) if progress.stage == "network" && progress.epoch >= epoch => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let mut input = FitInput {
            dataset: &fixture.dataset,
            interactions: &fixture.interactions,
            split: &fixture.split,
            setting: Setting::Rewards,
            hparams: self.hparams,
            device: Device::Cpu,
            seed: self.seed,
            run_dir: self.dir,
            initial: None,
            resume: self.resume,
            progress: &mut progress,
        };
        input.check()?;
        let model = gnn::fit(&mut input)?;
        model.save(self.dir)?;
        Ok(model)
    }
}

/// Returns a model's utilities `[users, queries, llms]` for user embeddings and queries of a data set.
pub(crate) fn utilities(
    model: &dyn Model,
    dataset: &Dataset,
    embeddings: &Tensor,
    (queries, task): (&[u32], TaskInput),
) -> Array3<f32> {
    let predictor = model.predictor(dataset, queries, task, embeddings).unwrap();
    let positions: Vec<usize> = (0..queries.len()).collect();
    let users = usize::try_from(embeddings.size()[0]).unwrap();
    let rows: Vec<Array2<f32>> = (0..users).map(|user| predictor.utilities(user, &positions).unwrap()).collect();
    let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
    ndarray::stack(ndarray::Axis(0), &rows).unwrap()
}

/// Small enough for a test of a second or two.
pub(crate) fn hparams() -> Hparams {
    Hparams {
        embedding_dim: 32,
        learning_rate: 1e-2,
        train_epoch: 16,
        batch_size: 12,
        text: TextEncoder::Lexical(Lexical { buckets: 512, max_words: 2, max_ids: 64, seed: 1 }),
        text_dim: 8,
        text_epoch: 12,
        text_learning_rate: 2e-2,
        ..Hparams::default()
    }
}

fn dataset() -> Dataset {
    let mut rng = Rng::new(11, &[]);
    let llm = |idx: usize| LlmInfo {
        id: format!("llm-{idx}"),
        description: String::new(),
        model: format!("vendor/llm-{idx}"),
        input_price: PRICES[idx],
        output_price: 3.0 * PRICES[idx],
        family: (idx < 2).then(|| "small".to_owned()),
    };
    let words = [["add", "sum", "apples"], ["loop", "print", "code"], ["poem", "rhyme", "story"]];
    let text = |task: usize, rng: &mut Rng| (0..6).map(|_| words[task][rng.index(3)]).collect::<Vec<_>>().join(" ");
    let queries: Vec<Query> =
        QUERY_IDS.map(|id| Query { id: id.into(), task: id % 3, text: text(id as usize % TASKS, &mut rng) }).collect();
    let mut noise = || single(0.1 * rng.normal());
    // Expensive LLMs are better, and each cheap one is nearly as good at one task.
    let level = |task: usize, llm: usize| 0.3 + 0.15 * llm as f32 + if task == llm { 0.3 } else { 0.0 };
    let effect = Array2::from_shape_fn((QUERIES, LLMS), |(query, llm)| level(query % TASKS, llm) + noise());
    let cost = Array2::from_shape_fn((QUERIES, LLMS), |(_, llm)| llm as f32 / (LLMS - 1) as f32);
    let embedding =
        |rows: usize| Array2::from_shape_fn((rows, 8), |(row, column)| ((row * 7 + column * 3) % 5) as f32 / 5.0);
    Dataset {
        name: "generated".to_owned(),
        llms: (0..LLMS).map(llm).collect(),
        llm_embeddings: embedding(LLMS),
        tasks: (0..TASKS).map(|t| TaskInfo { name: format!("task-{t}"), description: String::new() }).collect(),
        task_embeddings: embedding(TASKS),
        query_embeddings: Array2::from_shape_fn((QUERIES, 6), |(query, column)| {
            if column == query % TASKS { 1.0 } else { ((query * 13 + column) % 7) as f32 / 14.0 }
        }),
        queries,
        effect,
        cost,
        fingerprint: "generated".to_owned(),
    }
}

fn interactions(dataset: &Dataset, train: &[u32], preferences: &[f32]) -> Interactions {
    let mut out = Interactions { offsets: vec![0], ..Interactions::default() };
    for (user, &preference) in preferences.iter().enumerate() {
        let mut seen: Vec<u32> = train.to_vec();
        Rng::new(12, &[user as u64]).shuffle(&mut seen);
        seen.truncate(20);
        seen.sort_unstable();
        for query in seen {
            let rate = |(column, llm)| Interaction::rating(query, column, reward(dataset, preference, query, llm));
            out.entries.extend((0_u16..).zip(0..LLMS).map(rate));
        }
        out.offsets.push(out.entries.len());
        out.users.push(UserInfo { id: format!("user-{user}"), preference: None });
    }
    out
}

fn reward(dataset: &Dataset, preference: f32, query: u32, llm: usize) -> f32 {
    let at = [query as usize, llm];
    preference * dataset.effect[at] - (1.0 - preference) * dataset.cost[at]
}
