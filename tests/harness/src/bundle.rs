//! Generates small bundles with real graphs whose scores a test can calculate.
//!
//! With `share = llm / (llms - 1)`, an LLM's effect is `share` and its cost `share²`, so that each preference has a
//! different best LLM. The weight of effect is the declared preference, else the first value of the user's embedding.
//! The words or the embedding of the text add to the effect a little noise that is the same for all users.

use std::path::Path;

use personaroute_bundle::BundleError;
use personaroute_bundle::catalog::{Catalog, Llm, Task, Tasks};
use personaroute_bundle::folder::{Bundle, BundleWriter};
use personaroute_bundle::lexical::{ENCODING_VERSION, Lexical};
use personaroute_bundle::manifest::{
    Dataset, EmbeddingEncoder, FORMAT_VERSION, GraphSpec, Graphs, Manifest, Parity, Setting, TextEncoder, Training,
};
use personaroute_bundle::users::{Precision, UserTableWriter};

use crate::onnx::Graph;

/// Hash buckets of the words.
const BUCKETS: u32 = 512;

/// Largest change of an effect by one word.
const NOISE: f32 = 1e-3;

/// The content of a bundle.
#[derive(Debug, Clone)]
pub struct BundleSpec {
    /// Number of LLMs: `llm-0` has no effect and no cost, the last one the highest of both.
    pub llms: usize,
    /// Number of tasks, `task-0` upwards.
    pub tasks: usize,
    /// Length of a user embedding.
    pub user_dim: usize,
    /// The users and the weight of effect of each.
    pub users: Vec<(&'static str, f32)>,
    /// Dimension of text embeddings; `None` for the lexical encoder.
    pub embedding: Option<usize>,
}

impl Default for BundleSpec {
    fn default() -> Self {
        let users = vec![("thrifty", 0.1), ("even", 0.5), ("lavish", 1.0)];
        Self { llms: 5, tasks: 3, user_dim: 8, users, embedding: None }
    }
}

impl BundleSpec {
    /// Writes the bundle into the folder `dir` and opens it.
    pub fn write(&self, dir: &Path) -> Result<Bundle, BundleError> {
        let manifest = self.manifest();
        let mut writer = BundleWriter::create(dir)?;
        writer.add("scorer.onnx", &self.scorer(&manifest.graphs.scorer))?;
        writer.add("adapter.onnx", &self.adapter(&manifest.graphs.adapter))?;
        writer.add_catalog(&Catalog { llms: (0..self.llms).map(|llm| self.llm(llm)).collect() })?;
        writer.add_tasks(&Tasks { tasks: (0..self.tasks).map(task).collect() })?;
        let mut users = UserTableWriter::new(self.user_dim, Precision::F32);
        for (user, weight) in &self.users {
            users.push(user, &self.embedding(*weight), Some(*weight), (40, 0.9))?;
        }
        writer.add_users(&users)?;
        writer.finish(manifest)
    }

    /// Returns a user embedding with this weight of effect.
    pub fn embedding(&self, weight: f32) -> Vec<f32> {
        (0..self.user_dim).map(|idx| if idx == 0 { weight } else { 0.0 }).collect()
    }

    /// Returns the expected effect of an LLM, without the noise of the text.
    pub fn effect(&self, llm: usize) -> f32 {
        share(llm, self.llms)
    }

    /// Returns the expected cost of an LLM.
    pub fn cost(&self, llm: usize) -> f32 {
        share(llm, self.llms).powi(2)
    }

    fn llm(&self, llm: usize) -> Llm {
        Llm {
            id: format!("llm-{llm}"),
            model: format!("model-{llm}"),
            input_price: self.cost(llm),
            output_price: 4.0 * self.cost(llm),
            cached_input_price: None,
            context_window: Some(8192),
            capabilities: Vec::new(),
            description: format!("LLM number {llm}."),
        }
    }

    fn manifest(&self) -> Manifest {
        let text_encoder = match self.embedding {
            None => TextEncoder::Lexical(Lexical { buckets: BUCKETS, max_words: 2, max_ids: 512, seed: 7 }),
            Some(dim) => {
                TextEncoder::Embedding(EmbeddingEncoder { dim, encoder_id: "all-MiniLM-L6-v2".into(), sha256: None })
            }
        };
        Manifest {
            format_version: FORMAT_VERSION,
            encoding_version: ENCODING_VERSION,
            user_dim: self.user_dim,
            llms: self.llms,
            tasks: self.tasks,
            graphs: Graphs::expected(self.user_dim, self.llms, self.tasks, &text_encoder),
            text_encoder,
            setting: Setting::EffectCost,
            prior: self.embedding(0.5),
            reward_range: [-1.0, 1.0],
            dataset: Dataset::default(),
            training: Training::default(),
            parity: Parity::default(),
            metrics: [].into(),
            files: [].into(),
        }
    }

    fn scorer(&self, spec: &GraphSpec) -> Vec<u8> {
        let llms = self.llms;
        let effects: Vec<f32> = (0..llms).map(|llm| self.effect(llm)).collect();
        let costs: Vec<f32> = (0..llms).map(|llm| self.cost(llm)).collect();
        let mut graph = Graph::default();
        graph
            .floats("first", &[self.user_dim, 1], &self.embedding(1.0))
            .floats("effects", &[1, llms], &effects)
            .floats("costs", &[1, llms], &costs)
            .floats("zero", &[1], &[0.0])
            .floats("one", &[1], &[1.0])
            .floats("tenth", &[1], &[0.1])
            .floats("sharpness", &[1], &[8.0]);
        graph
            .node("MatMul", &["user", "first"], "own")
            .node("Less", &["preference", "zero"], "undeclared")
            .node("Where", &["undeclared", "own", "preference"], "weight")
            .node("Sub", &["one", "weight"], "rest")
            .node("Mul", &["weight", "zero"], "zeros")
            .node("Add", &["zeros", "one"], "ones");
        self.noise(&mut graph);
        graph
            .node("MatMul", &["ones", "effects"], "expected")
            .node("Add", &["expected", "noise"], "effect")
            .node("MatMul", &["ones", "costs"], "cost")
            .node("Mul", &["weight", "effect"], "gain")
            .node("Mul", &["rest", "cost"], "loss")
            .node("Sub", &["gain", "loss"], "utility")
            .node("Mul", &["cost", "tenth"], "uncertainty")
            .node("Mul", &["task", "sharpness"], "logits")
            .node_with("Softmax", &["logits"], "task_probability", &[("axis", 1)]);
        graph.model(spec)
    }

    /// Adds `noise` [batch, llms] from the text.
    fn noise(&self, graph: &mut Graph) {
        if let Some(dim) = self.embedding {
            graph.floats("table", &[dim, self.llms], &noise(dim * self.llms)).node(
                "MatMul",
                &["query", "table"],
                "noise",
            );
            return;
        }
        let rows = BUCKETS as usize + 1;
        // Row 0 is padding and adds nothing.
        let mut table = vec![0.0; self.llms];
        table.extend(noise(BUCKETS as usize * self.llms));
        graph
            .floats("table", &[rows, self.llms], &table)
            .integers("over words", &[1], &[1])
            .floats("share", &[1], &[1.0 / 512.0])
            .node("Gather", &["table", "ngrams"], "words")
            .node_with("ReduceSum", &["words", "over words"], "summed", &[("keepdims", 0)])
            .node("Mul", &["summed", "share"], "noise");
    }

    /// The adapted weight of effect is the sigmoid of `start_interactions · (2 · start − 1)` and the sum of weighted values;
    /// LLM, task, text, kind and group have no influence. Each interaction halves what is unknown.
    fn adapter(&self, spec: &GraphSpec) -> Vec<u8> {
        // Only the first value of the embedding changes.
        let first: Vec<f32> = self.embedding(1.0);
        let text = if self.embedding.is_some() { "query" } else { "ngrams" };
        let mut graph = Graph::default();
        graph
            .floats("first", &[self.user_dim, 1], &first)
            .floats("into user", &[1, self.user_dim], &first)
            .floats("one", &[1], &[1.0])
            .floats("two", &[1], &[2.0])
            .floats("half", &[1], &[0.5])
            .floats("zero", &[1], &[0.0])
            .integers("history", &[1], &[1])
            .integers("all but batch", &[2], &[1, 2]);
        // Every input is read, so that one of a wrong shape fails; what has no influence is multiplied by zero.
        let mut nothing = "zero".to_owned();
        for (name, axes) in [
            ("llm", "history"),
            ("kind", "history"),
            ("group", "history"),
            ("task", "all but batch"),
            (text, "all but batch"),
        ] {
            let [float, sum, none, next] = ["float", "sum", "none", "next"].map(|step| format!("{step} {name}"));
            graph
                .node_with("Cast", &[name], &float, &[("to", 1)])
                .node_with("ReduceSum", &[&float, axes], &sum, &[("keepdims", 0)])
                .node("Mul", &[&sum, "zero"], &none)
                .node("Add", &[&nothing, &none], &next);
            nothing = next;
        }
        graph
            .node("Mul", &["value", "weight"], "weighted")
            .node_with("ReduceSum", &["weighted", "history"], "sum", &[("keepdims", 1)])
            .node("Unsqueeze", &[&nothing, "history"], "no influence")
            .node("Add", &["sum", "no influence"], "told")
            .node("MatMul", &["start", "first"], "own")
            .node("Mul", &["own", "two"], "twice")
            .node("Sub", &["twice", "one"], "leaning")
            .node("Mul", &["leaning", "start_interactions"], "before")
            .node("Add", &["before", "told"], "all")
            .node("MatMul", &["all", "into user"], "reward")
            .node("Sigmoid", &["reward"], "user")
            .node("Sigmoid", &["all"], "preference")
            .node_with("ReduceSum", &["weight", "history"], "seen", &[("keepdims", 1)])
            .node("Add", &["seen", "start_interactions"], "count")
            .node("Pow", &["half", "count"], "unknown")
            .node("Sub", &["one", "unknown"], "certainty");
        graph.model(spec)
    }
}

fn task(task: usize) -> Task {
    Task { name: format!("task-{task}"), description: format!("Task number {task}.") }
}

fn share(llm: usize, llms: usize) -> f32 {
    llm as f32 / (llms.max(2) - 1) as f32
}

/// Returns small pseudo-random numbers around zero that are the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    let value = |idx: usize| ((idx * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    (0..count).map(|idx| NOISE * value(idx)).collect()
}
