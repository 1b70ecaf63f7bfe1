//! What a query's length tells: how it compares with the queries of its task, in a few shapes.
//!
//! The scorer sees a length in steps (a shape token of the lexical encoding), so the network learns from the same steps: each
//! feature of a step is its mean over the training queries of the task. An embedding has no length: its features are zero.

use personaroute_bundle::lexical::LARGEST_SHAPES;
use tch::{Device, Kind, Tensor};

use crate::closed_form::text::shape::Shapes;
use crate::data::{Dataset, Split};
use crate::graph::query::{QueryInputs, TextEncoder};
use crate::model::tensors::{extent, from_rows, single};

/// How sharply features part short from long, in standard deviations of a task's logarithmic lengths.
const SHARPNESS: [f64; 2] = [20.0, 4.0];

/// Features of lengths.
#[derive(Debug)]
pub struct Lengths {
    /// `[queries, features]`: of every query of the data, by its own task.
    pub of_queries: Tensor,
    /// `[rows of shape tokens, tasks · features]`: of every shape token as each task sees it; zero but for lengths.
    pub table: Tensor,
}

/// Lengths of a task's training queries.
struct TaskLengths {
    median: f64,
    deviation: f64,
}

impl Lengths {
    /// Fits the steps on the training queries.
    pub fn fit(dataset: &Dataset, split: &Split, encoder: &TextEncoder, features: i64) -> Self {
        let tasks = dataset.tasks.len();
        let TextEncoder::Lexical(lexical) = encoder else {
            let zeros = |rows: usize, columns: i64| Tensor::zeros([rows as i64, columns], (Kind::Float, Device::Cpu));
            return Self {
                of_queries: zeros(dataset.queries.len(), features),
                table: zeros(1, features * tasks as i64),
            };
        };
        let shapes = Shapes::new(*lexical);
        let all: Vec<u32> = (0_u32..).take(dataset.queries.len()).collect();
        let QueryInputs::Lexical(ids) = QueryInputs::build(encoder, dataset, &all) else {
            return Self::fit(dataset, split, &TextEncoder::Embedding, features);
        };
        let step = |query: usize| ids.get(query).and_then(|ids| ids.first()).map_or(0, |&id| shapes.row(id));
        let width = extent(features);
        let mut table = vec![vec![0.0_f32; tasks * width]; extent(shapes.count())];
        for task in 0..tasks {
            let queries: Vec<usize> = split
                .train
                .iter()
                .map(|&query| query as usize)
                .filter(|&query| task_of(dataset, query) == task)
                .collect();
            let lengths = TaskLengths::of(dataset, &queries);
            let steps: Vec<(i64, f64)> =
                queries.iter().map(|&query| (step(query), lengths.place(length(dataset, query)))).collect();
            for (row, values) in filled(&steps, width).into_iter().enumerate() {
                if let Some(target) =
                    table.get_mut(row + 1).and_then(|row| row.get_mut(task * width..(task + 1) * width))
                {
                    target.copy_from_slice(&values);
                }
            }
        }
        let of_query = |query: usize| {
            let at = task_of(dataset, query) * width;
            let row = usize::try_from(step(query)).ok().and_then(|step| table.get(step));
            row.and_then(|row| row.get(at..at + width)).map_or_else(|| vec![0.0; width], <[f32]>::to_vec)
        };
        let of_queries: Vec<Vec<f32>> = (0..dataset.queries.len()).map(of_query).collect();
        Self { of_queries: from_rows(&of_queries, width), table: from_rows(&table, tasks * width) }
    }

    /// Returns the number of features.
    pub fn features(&self) -> i64 {
        self.of_queries.size().last().copied().unwrap_or(0)
    }
}

impl TaskLengths {
    fn of(dataset: &Dataset, queries: &[usize]) -> Self {
        let mut lengths: Vec<f64> = queries.iter().map(|&query| length(dataset, query)).collect();
        lengths.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| lengths.get(place).copied().unwrap_or(0.0);
        let count = lengths.len();
        // Half way between the two in the middle, as a query is short if it is below.
        let median = f64::midpoint(at(count.saturating_sub(1) / 2), at(count / 2));
        let mean = lengths.iter().sum::<f64>() / count.max(1) as f64;
        let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        Self { median, deviation: variance.sqrt().max(1e-6) }
    }

    fn place(&self, length: f64) -> f64 {
        (length - self.median) / self.deviation
    }
}

/// Returns the features of each step: the mean over the queries there; a step without queries takes those of its nearest.
fn filled(steps: &[(i64, f64)], width: usize) -> Vec<Vec<f32>> {
    // Steps that the encoding knows; the first row of the table is for none.
    let [longest, ..] = LARGEST_SHAPES;
    let all: Vec<u64> = (0..=longest).collect();
    let mut sums = vec![(vec![0.0_f64; width], 0.0_f64); all.len()];
    for &(row, place) in steps {
        let found = usize::try_from(row - 1).ok().and_then(|step| sums.get_mut(step));
        let Some((sum, count)) = found else { continue };
        sum.iter_mut().zip(shapes_of(place)).for_each(|(sum, value)| *sum += value);
        *count += 1.0;
    }
    let known: Vec<usize> =
        (0..all.len()).filter(|&step| sums.get(step).is_some_and(|(_, count)| *count > 0.0)).collect();
    let nearest = |step: usize| known.iter().min_by_key(|known| known.abs_diff(step)).and_then(|&step| sums.get(step));
    let mean = |(sum, count): &(Vec<f64>, f64)| sum.iter().map(|sum| single(sum / count)).collect();
    (0..all.len()).map(|step| nearest(step).map_or_else(|| vec![0.0; width], mean)).collect()
}

/// Returns the features of a length so many standard deviations above its task's median: a step, a soft one, a line, a bow.
fn shapes_of(place: f64) -> [f64; 4] {
    let [sharp, soft] = SHARPNESS.map(|sharpness| (sharpness * place).tanh());
    [sharp, soft, place, place * place]
}

fn task_of(dataset: &Dataset, query: usize) -> usize {
    dataset.queries.get(query).map_or(0, |query| query.task as usize)
}

/// Logarithm of the number of characters.
fn length(dataset: &Dataset, query: usize) -> f64 {
    dataset.queries.get(query).map_or(0.0, |query| (query.text.chars().count().max(1) as f64).ln())
}
