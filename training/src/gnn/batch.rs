//! One step's share of the graph as tensors: edges of a few users, padded to the longest list.

use tch::{Device, Kind, Tensor};

use crate::data::Dataset;
use crate::graph::evidence::{Evidence, Judgement};

/// Edges of some users. `N` is the longest list of edges, `G` the largest number of groups.
#[derive(Debug)]
pub struct Batch {
    /// Users and longest list: the shape `[B, N]`.
    pub shape: [i64; 2],
    /// `[B · N]`, integers: LLM of each edge.
    pub llm: Tensor,
    /// `[B · N]`, integers: row of the edge's (task, LLM).
    pub cell: Tensor,
    /// `[B · N]`, integers: query of each edge.
    pub query: Tensor,
    /// `[B, N]`: rating in units, or share of the win.
    pub value: Tensor,
    /// `[B, N]`: 1 for the left answer of a vote whose sides are known.
    pub left: Tensor,
    /// Groups of edges.
    pub groups: Groups,
    /// Edges that the network reads.
    pub visible: Edges,
    /// Edges that it predicts.
    pub hidden: Edges,
}

/// Which edges are ratings and which are choices or votes, `[B, N]` each: 1 or 0.
#[derive(Debug)]
pub struct Edges {
    /// Ratings.
    pub rating: Tensor,
    /// Answers of choices and votes.
    pub choice: Tensor,
    /// Whether there is a rating at all.
    pub has_ratings: bool,
    /// Whether there is a choice or a vote at all.
    pub has_choices: bool,
}

/// Sums over the edges of a group, and back.
#[derive(Debug)]
pub struct Groups {
    /// `[B · N]`, integers: row of the edge's group.
    index: Tensor,
    shape: [i64; 2],
    count: i64,
}

/// A user of a batch: groups to read and groups to predict.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Groups to read.
    pub visible: Vec<usize>,
    /// Groups to predict.
    pub hidden: Vec<usize>,
}

/// Columns of a batch while it is put together.
#[derive(Default)]
struct Columns {
    llm: Vec<i64>,
    cell: Vec<i64>,
    query: Vec<i64>,
    value: Vec<f32>,
    left: Vec<f32>,
    group: Vec<i64>,
    /// Visible ratings, visible choices, hidden ratings, hidden choices.
    masks: [Vec<f32>; 4],
}

/// What all batches are made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Edges.
    pub evidence: &'a Evidence,
    /// Tasks of the queries.
    pub dataset: &'a Dataset,
    /// Reward of one unit, and the reward at zero.
    pub scale: [f64; 2],
    /// Where to compute.
    pub device: Device,
}

impl Batch {
    /// Gathers the edges of samples.
    pub fn new(source: Source<'_>, samples: &[Sample]) -> Self {
        let edges =
            |groups: &[usize]| groups.iter().map(|&group| source.evidence.edges_of(group).count()).sum::<usize>();
        let width =
            samples.iter().map(|sample| edges(&sample.visible) + edges(&sample.hidden)).max().unwrap_or(0).max(1);
        let depth = samples.iter().map(|sample| sample.visible.len() + sample.hidden.len()).max().unwrap_or(0).max(1);
        let mut columns = Columns::default();
        for (user, sample) in samples.iter().enumerate() {
            let mut row = user * depth;
            for (groups, hidden) in [(&sample.visible, false), (&sample.hidden, true)] {
                for &group in groups {
                    columns.push(source, group, (row, hidden));
                    row += 1;
                }
            }
            columns.pad((user + 1) * width, user * depth);
        }
        columns.batch(source.device, [samples.len() as i64, width as i64], depth as i64)
    }
}

impl Columns {
    fn push(&mut self, source: Source<'_>, group: usize, (row, hidden): (usize, bool)) {
        let query = source.evidence.query.get(group).copied().unwrap_or(0);
        let rating = source.evidence.judgement.get(group) == Some(&Judgement::Rating);
        let task = source.dataset.queries.get(query as usize).map_or(0, |query| i64::from(query.task));
        let llms = source.dataset.llms.len() as i64;
        let [unit, zero] = source.scale;
        let mask = 2 * usize::from(hidden) + usize::from(!rating);
        for edge in source.evidence.edges_of(group) {
            self.llm.push(i64::from(edge.llm));
            self.cell.push(task * llms + i64::from(edge.llm));
            self.query.push(i64::from(query));
            self.value.push(if rating { scaled(edge.value, unit, zero) } else { edge.value });
            self.left.push(edge.left);
            self.group.push(row as i64);
            for (at, column) in self.masks.iter_mut().enumerate() {
                column.push(if at == mask { 1.0 } else { 0.0 });
            }
        }
    }

    fn pad(&mut self, length: usize, row: usize) {
        for column in [&mut self.llm, &mut self.cell, &mut self.query] {
            column.resize(length, 0);
        }
        self.group.resize(length, row as i64);
        self.value.resize(length, 0.0);
        self.left.resize(length, 0.0);
        self.masks.iter_mut().for_each(|column| column.resize(length, 0.0));
    }

    fn batch(self, device: Device, shape: [i64; 2], depth: i64) -> Batch {
        let whole = |column: &[i64]| Tensor::from_slice(column).to_device(device);
        let real = |column: &[f32]| Tensor::from_slice(column).view(shape).to_device(device);
        let any = |column: &[f32]| column.iter().any(|&x| x > 0.0);
        let edges = |rating: &[f32], choice: &[f32]| Edges {
            rating: real(rating),
            choice: real(choice),
            has_ratings: any(rating),
            has_choices: any(choice),
        };
        let [seen_ratings, seen_choices, hidden_ratings, hidden_choices] = &self.masks;
        Batch {
            shape,
            llm: whole(&self.llm),
            cell: whole(&self.cell),
            query: whole(&self.query),
            value: real(&self.value),
            left: real(&self.left),
            groups: Groups { index: whole(&self.group), shape, count: shape[0] * depth },
            visible: edges(seen_ratings, seen_choices),
            hidden: edges(hidden_ratings, hidden_choices),
        }
    }
}

impl Groups {
    /// Sums rows `[B, N, K]` of edges by group: `[B · G, K]`.
    pub fn sum(&self, rows: &Tensor) -> Tensor {
        let width = rows.size().last().copied().unwrap_or(1);
        let zeros = Tensor::zeros([self.count, width], (rows.kind(), rows.device()));
        zeros.index_add(0, &self.index, &rows.reshape([-1, width]))
    }

    /// Gives every edge its group's row: `[B · G, K]` to `[B, N, K]`.
    pub fn spread(&self, rows: &Tensor) -> Tensor {
        let width = rows.size().last().copied().unwrap_or(1);
        let [users, edges] = self.shape;
        rows.index_select(0, &self.index).view([users, edges, width])
    }

    /// Returns the number of users.
    pub fn users(&self) -> i64 {
        self.shape[0]
    }

    /// Counts the edges of a mask `[B, N]` by group: `[B · G, 1]`.
    pub fn count(&self, mask: &Tensor) -> Tensor {
        self.sum(&mask.unsqueeze(2))
    }
}

impl Edges {
    /// Returns all edges, `[B, N]`.
    pub fn all(&self) -> Tensor {
        &self.rating + &self.choice
    }

    /// Returns the number of edges.
    pub fn count(&self) -> f64 {
        self.all().sum(Kind::Double).double_value(&[])
    }
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
fn scaled(value: f32, unit: f64, zero: f64) -> f32 {
    ((f64::from(value) - zero) / unit) as f32
}
