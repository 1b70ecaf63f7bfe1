//! The text part of the scorer: the task of a query, and what its text adds to the coefficients of answers.
//!
//! Features of the text sum up rows of one table ([`super::feature_table`]). The sums are, side by side: the text's likeness
//! to each task; the difficulty shift, as each task predicts it; and what the text says about each LLM, for all tasks and for
//! some. A text unlike those of all tasks is out of distribution ([`super::gate`]): as far as it is, the means over all
//! training queries replace those of the task.

use tch::{Device, Kind, Tensor};

use super::feature_table::FeatureTable;
use super::gate::OutOfDistributionGate;
use crate::graph::query::QueryBatch;

/// The text part as exported.
#[derive(Debug)]
pub struct TextScorer {
    /// Text to sums.
    pub features: FeatureTable,
    /// `[tasks]`: added to the tasks' sums.
    pub task_bias: Tensor,
    /// `[tasks + 1, tasks]`: from likeness to logits; the last row is the bias.
    pub task_map: Tensor,
    /// `[tasks, llms]`: what a unit of the difficulty shift adds to the effect coefficient.
    pub slopes: Tensor,
    /// `[tasks, llms]`: the most that the slopes may add; 0 for LLMs that no preference would choose in the task.
    pub slope_limit: Tensor,
    /// `[tasks, blocks]` for the effect and for the cost coefficient: which blocks of LLM columns apply to a task; the first
    /// block applies to all.
    pub blocks: [Tensor; 2],
    /// Share of what is added to the effect coefficient that is added to the cost coefficient too.
    pub cost_share: f64,
    /// `[tasks]`: shares of the training queries, which replace the task of an out-of-distribution text.
    pub task_shares: Tensor,
    /// Where known tasks end.
    pub gate: OutOfDistributionGate,
}

/// What a query's text says.
#[derive(Debug)]
pub struct TextFeatures {
    /// `[queries, tasks]`: probabilities; the rest to 1 is that of an unknown task.
    pub tasks: Tensor,
    /// `[queries, tasks]`: what the query's difficulty adds to the effect coefficients of all LLMs; negative for a hard one.
    pub difficulty: Tensor,
    /// `[queries, blocks, llms]` for the effect and for the cost coefficient.
    pub by_llm: [Tensor; 2],
}

impl TextScorer {
    /// Returns another handle on the same tables.
    pub fn shallow(&self) -> Self {
        Self {
            features: self.features.shallow(),
            task_bias: self.task_bias.shallow_clone(),
            task_map: self.task_map.shallow_clone(),
            slopes: self.slopes.shallow_clone(),
            slope_limit: self.slope_limit.shallow_clone(),
            blocks: self.blocks.each_ref().map(Tensor::shallow_clone),
            cost_share: self.cost_share,
            task_shares: self.task_shares.shallow_clone(),
            gate: self.gate,
        }
    }

    /// Returns a scorer that only infers tasks from text.
    pub fn tasks_only(&self) -> Self {
        let [tasks, difficulty, ..] = self.widths();
        let nothing = || Tensor::zeros([tasks, 0], (Kind::Float, Device::Cpu));
        Self {
            features: self.features.first_columns(tasks, difficulty),
            slopes: self.slopes.zeros_like(),
            slope_limit: self.slope_limit.zeros_like(),
            blocks: [nothing(), nothing()],
            cost_share: 0.0,
            ..self.shallow()
        }
    }

    /// Returns the row of shape tokens of every id, where there are ids.
    pub fn shape_rows(&self) -> Option<&Tensor> {
        match &self.features {
            FeatureTable::Lexical(table) => Some(&table.shape_row),
            FeatureTable::Embedding(_) => None,
        }
    }

    /// Returns the widths of the sums' parts: tasks, difficulty, effect by LLM, cost by LLM.
    pub fn widths(&self) -> [i64; 4] {
        let (tasks, llms) = self.slopes.size2().unwrap_or((0, 0));
        let [effect, cost] = self.blocks.each_ref().map(|blocks| blocks.size().last().copied().unwrap_or(0));
        [tasks, tasks, effect * llms, cost * llms]
    }

    /// Reads queries.
    pub fn forward(&self, batch: &QueryBatch) -> TextFeatures {
        let sums = self.features.forward(batch);
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let rows = sums.size().first().copied().unwrap_or(0);
        let [tasks, difficulty, effect, cost] = self.widths();
        let part = |begin: i64, width: i64| sums.narrow(1, begin, width);
        let by_llm = |begin: i64, width: i64| part(begin, width).reshape([rows, width / llms.max(1), llms]);
        let likeness = part(0, tasks) + &self.task_bias;
        let logits = likeness.matmul(&self.task_map.narrow(0, 0, tasks)) + self.task_map.narrow(0, tasks, 1);
        TextFeatures {
            tasks: logits.softmax(-1, Kind::Float) * self.gate.in_distribution(&likeness),
            difficulty: part(tasks, difficulty),
            by_llm: [by_llm(tasks + difficulty, effect), by_llm(tasks + difficulty + effect, cost)],
        }
    }

    /// Returns weights of the tasks' values `[queries, tasks]`, which add up to 1: task probabilities, and the shares of the
    /// training queries for the rest.
    pub fn task_weights(&self, tasks: &Tensor) -> Tensor {
        let rest: Tensor = 1.0 - tasks.sum_dim_intlist(1, true, Kind::Float);
        tasks + rest * &self.task_shares
    }

    /// Returns values `[queries, llms, weights]` for task probabilities, given the values by task
    /// `[tasks, llms · weights]`: the first two weights meet the effect and the cost coefficient.
    ///
    /// What the text adds beyond its task was learned from texts of known tasks and is wrong elsewhere, so it is weighted by
    /// the square of the probability of a known task.
    pub fn values(&self, features: &TextFeatures, tasks: &Tensor, by_task: &Tensor) -> Tensor {
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let weight = tasks * tasks.sum_dim_intlist(1, true, Kind::Float);
        let [effect_by_llm, cost_by_llm] = [0, 1].map(|part: usize| self.by_llm(features, &weight, part));
        let by_slope = (features.difficulty.unsqueeze(2) * &self.slopes).minimum(&self.slope_limit); // [Q, T, L]
        let by_slope = weight.unsqueeze(1).matmul(&by_slope).squeeze_dim(1);
        let difficulty = (&weight * &features.difficulty).sum_dim_intlist(1, true, Kind::Float);
        let effect = by_slope + difficulty + effect_by_llm;
        let cost = cost_by_llm + &effect * self.cost_share;
        let queries = tasks.size().first().copied().unwrap_or(0);
        let values = self.task_weights(tasks).matmul(by_task).view([queries, llms, -1]);
        let factors = values.size().last().copied().unwrap_or(2) - 2;
        let added = Tensor::stack(&[effect, cost], 2).constant_pad_nd([0, factors]);
        values + added
    }

    fn by_llm(&self, features: &TextFeatures, tasks: &Tensor, part: usize) -> Tensor {
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let queries = tasks.size().first().copied().unwrap_or(0);
        let pair = self.blocks.get(part).zip(features.by_llm.get(part));
        match pair.filter(|(blocks, _)| blocks.numel() > 0) {
            Some((blocks, by_llm)) => tasks.matmul(blocks).unsqueeze(1).matmul(by_llm).squeeze_dim(1),
            None => Tensor::zeros([queries, llms], (Kind::Float, Device::Cpu)),
        }
    }

    /// Returns every tensor by name.
    pub fn named(&self) -> Vec<(&'static str, Tensor)> {
        let [effect, cost] = self.blocks.each_ref().map(Tensor::shallow_clone);
        let mut named = vec![
            ("text.task_bias", self.task_bias.shallow_clone()),
            ("text.task_map", self.task_map.shallow_clone()),
            ("text.slopes", self.slopes.shallow_clone()),
            ("text.slope_limit", self.slope_limit.shallow_clone()),
            ("text.blocks.effect", effect),
            ("text.blocks.cost", cost),
            ("text.cost_share", Tensor::from_slice(&[self.cost_share])),
            ("text.task_shares", self.task_shares.shallow_clone()),
            ("text.gate", Tensor::from_slice(&[self.gate.threshold, self.gate.sharpness])),
        ];
        named.extend(self.features.named());
        named
    }

    /// Takes its tensors out of a file's; `lexical` says which features it reads.
    pub fn take<E>(lexical: bool, take: &mut impl FnMut(&str) -> Result<Tensor, E>) -> Result<Self, E> {
        let gate = take("text.gate")?;
        Ok(Self {
            features: FeatureTable::take(lexical, take)?,
            task_bias: take("text.task_bias")?,
            task_map: take("text.task_map")?,
            slopes: take("text.slopes")?,
            slope_limit: take("text.slope_limit")?,
            blocks: [take("text.blocks.effect")?, take("text.blocks.cost")?],
            cost_share: take("text.cost_share")?.double_value(&[0]),
            task_shares: take("text.task_shares")?,
            gate: OutOfDistributionGate { threshold: gate.double_value(&[0]), sharpness: gate.double_value(&[1]) },
        })
    }
}
