//! The query node: the task it guesses from its text, and what the text adds to the values of answers.
//!
//! Features of the text sum up rows of one table. The sums are, side by side: how much the text is like each task's; how
//! much easier than its task the query looks, as each task sees it; and what the text says about each LLM, for all tasks
//! and for some. A text that is not much like any task's is taken to be of none, as far as it is not: the mean over all
//! training queries speaks for it. What it says beyond its task counts less still.

use tch::{Device, Kind, Tensor};

use crate::graph::query::QueryBatch;
use crate::model::tensors::rounded;

/// Largest element of the table of n-grams.
const LARGEST: f64 = 127.0;
/// Way to add up rows, in libtorch's numbering.
const SUM: i64 = 0;
/// A text without a known n-gram is divided by this instead of nothing.
pub const SHORTEST: f64 = 1e-3;

/// The query node as exported.
#[derive(Debug)]
pub struct FrozenText {
    /// Text to sums.
    pub input: Input,
    /// `[tasks]`: added to the tasks' sums.
    pub task: Tensor,
    /// `[tasks + 1, tasks]`: from how much a text is like each task's to logits; the last row is added.
    pub map: Tensor,
    /// `[tasks, llms]`: what a unit of ease adds to the high end.
    pub slopes: Tensor,
    /// `[tasks, llms]`: the most that the slopes may add; 0 for LLMs nobody would choose in the task.
    pub ceiling: Tensor,
    /// `[tasks, blocks]` for the high and for the low end: which blocks of columns speak for a task; the first block
    /// speaks for all of them.
    pub blocks: [Tensor; 2],
    /// How much of what is added to the high end is added to the low end too.
    pub shared: f64,
    /// `[tasks]`: shares of the training queries; they stand in for the task of a text that is of none.
    pub shares: Tensor,
    /// Where texts of known tasks end.
    pub border: Border,
}

/// Parts texts of known tasks from others, by how much they are like the texts of the task that they are most like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Border {
    /// Where a text is as likely of no known task.
    pub threshold: f64,
    /// How fast that changes: the logit's slope.
    pub sharpness: f64,
}

/// The explicit weights of solutions.
#[derive(Debug)]
pub enum Tables {
    /// A query is the sum of its n-grams' rows over the root of their summed squared rarity, plus its shape rows.
    Lexical {
        /// `[buckets + 1, columns]`.
        grams: Tensor,
        /// `[buckets + 1]`.
        rarity: Tensor,
        /// `[rows, columns]`.
        shape: Tensor,
        /// `[buckets + 1]`.
        shape_row: Tensor,
    },
    /// `[dim, columns]`.
    Embedding(Tensor),
}

/// Where sums come from.
#[derive(Debug)]
pub enum Input {
    /// Hashed n-grams and shape tokens.
    Lexical(Bag),
    /// `[dim, columns]`, in 16-bit precision, for an embedding.
    Embedding(Tensor),
}

/// Tables of n-grams and shape tokens.
#[derive(Debug)]
pub struct Bag {
    /// `[buckets + 1, columns]`, 8-bit integers.
    pub table: Tensor,
    /// `[buckets + 1]`: scale of each row.
    pub row: Tensor,
    /// `[columns]`: scale of each column.
    pub column: Tensor,
    /// `[buckets + 1]`: squared rarity; a text's n-grams count in proportion to the root of its sum.
    pub square: Tensor,
    /// `[rows, columns]`: shape tokens; row 0 is zero.
    pub shape: Tensor,
    /// `[buckets + 1]`, integers: row of a shape token's id.
    pub shape_row: Tensor,
}

/// What a query's text says.
#[derive(Debug)]
pub struct Reading {
    /// `[queries, tasks]`: probabilities; what they lack to 1 is that of no known task.
    pub tasks: Tensor,
    /// `[queries, tasks]`.
    pub ease: Tensor,
    /// `[queries, blocks, llms]` for the high and for the low end.
    pub own: [Tensor; 2],
}

impl Input {
    /// Takes over tables, rounded to what is exported.
    pub fn of(tables: Tables) -> Self {
        match tables {
            Tables::Embedding(table) => Self::Embedding(rounded(&table)),
            Tables::Lexical { grams, rarity, shape, shape_row } => {
                let largest = |table: &Tensor, axis: i64| table.abs().amax([axis].as_slice(), true).clamp_min(1e-20);
                let column = largest(&grams, 0); // [1, C]
                let even = grams / &column;
                let row = largest(&even, 1) / LARGEST; // [V, 1]
                let table = (even / &row).round().to_kind(Kind::Int8);
                let (row, column) = (row.squeeze_dim(1), column.squeeze_dim(0));
                Self::Lexical(Bag { table, row, column, square: rarity.square(), shape, shape_row })
            }
        }
    }

    /// Returns the sums `[queries, columns]`.
    pub fn forward(&self, batch: &QueryBatch) -> Tensor {
        match (self, batch) {
            (Self::Embedding(table), QueryBatch::Embedding(rows)) => rows.matmul(table),
            (Self::Lexical(bag), QueryBatch::Lexical { ids, offsets, shape }) => bag.forward(ids, offsets, shape),
            // A model reads what it was trained to read.
            (Self::Embedding(_), QueryBatch::Lexical { .. }) | (Self::Lexical(_), QueryBatch::Embedding(_)) => {
                Tensor::zeros([0, self.columns()], (Kind::Float, Device::Cpu))
            }
        }
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> i64 {
        let table = match self {
            Self::Lexical(bag) => &bag.table,
            Self::Embedding(table) => table,
        };
        table.size().last().copied().unwrap_or(0)
    }
}

impl Border {
    /// Takes every text to be of a known task.
    pub const NONE: Self = Self { threshold: -1e4, sharpness: 1.0 };

    /// Returns the probability of any known task, `[queries, 1]`, by how much texts are like each task's.
    pub fn known(&self, like: &Tensor) -> Tensor {
        ((like.amax([1].as_slice(), true) - self.threshold) * self.sharpness).sigmoid()
    }
}

impl Bag {
    fn forward(&self, ids: &Tensor, offsets: &Tensor, shape: &Tensor) -> Tensor {
        let sum = |table: &Tensor, weights: Option<&Tensor>| {
            Tensor::embedding_bag(table, ids, offsets, false, SUM, false, weights, true).0
        };
        let row = self.row.index_select(0, ids);
        let grams = sum(&self.table.to_kind(Kind::Float), Some(&row)) * &self.column;
        let length = sum(&self.square.unsqueeze(1), None).sqrt().clamp_min(SHORTEST);
        let (queries, tokens) = shape.size2().unwrap_or((0, 0));
        let rows = self.shape_row.index_select(0, &shape.reshape([-1]));
        let shape = self.shape.index_select(0, &rows).view([queries, tokens, -1]);
        grams / length + shape.sum_dim_intlist(1, false, Kind::Float)
    }
}

impl FrozenText {
    /// Returns the widths of the sums' parts: tasks, ease, own high ends, own low ends.
    pub fn widths(&self) -> [i64; 4] {
        let (tasks, llms) = self.slopes.size2().unwrap_or((0, 0));
        let [high, low] = self.blocks.each_ref().map(|blocks| blocks.size().last().copied().unwrap_or(0));
        [tasks, tasks, high * llms, low * llms]
    }

    /// Reads queries.
    pub fn forward(&self, batch: &QueryBatch) -> Reading {
        let sums = self.input.forward(batch);
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let rows = sums.size().first().copied().unwrap_or(0);
        let [tasks, ease, high, low] = self.widths();
        let part = |begin: i64, width: i64| sums.narrow(1, begin, width);
        let own = |begin: i64, width: i64| part(begin, width).reshape([rows, width / llms.max(1), llms]);
        let like = part(0, tasks) + &self.task;
        let logits = like.matmul(&self.map.narrow(0, 0, tasks)) + self.map.narrow(0, tasks, 1);
        Reading {
            tasks: logits.softmax(-1, Kind::Float) * self.border.known(&like),
            ease: part(tasks, ease),
            own: [own(tasks + ease, high), own(tasks + ease + high, low)],
        }
    }

    /// Returns weights of the tasks' values `[queries, tasks]`, which add up to 1: probabilities, and for what they lack to 1
    /// the shares of the training queries.
    pub fn expected(&self, tasks: &Tensor) -> Tensor {
        let rest: Tensor = 1.0 - tasks.sum_dim_intlist(1, true, Kind::Float);
        tasks + rest * &self.shares
    }

    /// Returns values `[queries, llms, weights]` for task probabilities, given the values by task
    /// `[tasks, llms · weights]`: the first weight's are high ends, the second's low ends.
    ///
    /// What the text says beyond its task was learned from texts of known tasks, and misleads where there is none: it
    /// counts by the square of the probability that there is one.
    pub fn values(&self, reading: &Reading, tasks: &Tensor, by_task: &Tensor) -> Tensor {
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let heard = tasks * tasks.sum_dim_intlist(1, true, Kind::Float);
        let [own_high, own_low] = [0, 1].map(|end: usize| self.own(reading, &heard, end));
        let by_slope = (reading.ease.unsqueeze(2) * &self.slopes).minimum(&self.ceiling); // [Q, T, L]
        let by_slope = heard.unsqueeze(1).matmul(&by_slope).squeeze_dim(1);
        let ease = (&heard * &reading.ease).sum_dim_intlist(1, true, Kind::Float);
        let high = by_slope + ease + own_high;
        let low = own_low + &high * self.shared;
        let values = self.expected(tasks).matmul(by_task).view([tasks.size().first().copied().unwrap_or(0), llms, -1]);
        let more = values.size().last().copied().unwrap_or(2) - 2;
        let added = Tensor::stack(&[high, low], 2).constant_pad_nd([0, more]);
        values + added
    }

    fn own(&self, reading: &Reading, tasks: &Tensor, end: usize) -> Tensor {
        let llms = self.slopes.size().last().copied().unwrap_or(1);
        let queries = tasks.size().first().copied().unwrap_or(0);
        let pair = self.blocks.get(end).zip(reading.own.get(end));
        match pair.filter(|(blocks, _)| blocks.numel() > 0) {
            Some((blocks, own)) => tasks.matmul(blocks).unsqueeze(1).matmul(own).squeeze_dim(1),
            None => Tensor::zeros([queries, llms], (Kind::Float, Device::Cpu)),
        }
    }

    /// Returns every tensor by name.
    pub fn named(&self) -> Vec<(&'static str, Tensor)> {
        let [high, low] = self.blocks.each_ref().map(Tensor::shallow_clone);
        let mut named = vec![
            ("text.task", self.task.shallow_clone()),
            ("text.map", self.map.shallow_clone()),
            ("text.slopes", self.slopes.shallow_clone()),
            ("text.ceiling", self.ceiling.shallow_clone()),
            ("text.blocks.high", high),
            ("text.blocks.low", low),
            ("text.shared", Tensor::from_slice(&[self.shared])),
            ("text.shares", self.shares.shallow_clone()),
            ("text.border", Tensor::from_slice(&[self.border.threshold, self.border.sharpness])),
        ];
        match &self.input {
            Input::Embedding(table) => named.push(("text.input", table.shallow_clone())),
            Input::Lexical(bag) => named.extend([
                ("text.bag.table", bag.table.shallow_clone()),
                ("text.bag.row", bag.row.shallow_clone()),
                ("text.bag.column", bag.column.shallow_clone()),
                ("text.bag.square", bag.square.shallow_clone()),
                ("text.bag.shape", bag.shape.shallow_clone()),
                ("text.bag.shape_row", bag.shape_row.shallow_clone()),
            ]),
        }
        named
    }

    /// Takes its tensors out of a file's; `lexical` says which input it has.
    pub fn take<E>(lexical: bool, take: &mut impl FnMut(&str) -> Result<Tensor, E>) -> Result<Self, E> {
        let input = match lexical {
            false => Input::Embedding(take("text.input")?),
            true => Input::Lexical(Bag {
                table: take("text.bag.table")?,
                row: take("text.bag.row")?,
                column: take("text.bag.column")?,
                square: take("text.bag.square")?,
                shape: take("text.bag.shape")?,
                shape_row: take("text.bag.shape_row")?,
            }),
        };
        let border = take("text.border")?;
        Ok(Self {
            input,
            task: take("text.task")?,
            map: take("text.map")?,
            slopes: take("text.slopes")?,
            ceiling: take("text.ceiling")?,
            blocks: [take("text.blocks.high")?, take("text.blocks.low")?],
            shared: take("text.shared")?.double_value(&[0]),
            shares: take("text.shares")?,
            border: Border { threshold: border.double_value(&[0]), sharpness: border.double_value(&[1]) },
        })
    }
}
