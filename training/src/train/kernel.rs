//! Ridge regression on query text: a kernel over the training queries, solved exactly, and its explicit weights.
//!
//! A query's features are its n-grams, each scaled by how rare it is, over the root of their number, and its shape
//! tokens as they are; with the embedding encoder, the vector. A solution `α` over the training queries becomes a
//! table of feature weights `Φᵀα`, which is all that the scorer needs.

use tch::{Device, Kind, Tensor};

use crate::graph::text::QueryInputs;
use crate::model::tensors::{from_rows, single};

/// Shape tokens open every list of ids (feature encoding version 1).
const SHAPE_TOKENS: usize = 7;
/// Share of the kernel that shape tokens make up.
const SHAPE_SHARE: f64 = 0.5;
/// Columns of the kernel worked out at once: bounds the memory.
const COLUMNS: usize = 256;

/// Features of the training queries.
#[derive(Debug)]
pub struct Features {
    rows: i64,
    kind: Kinds,
}

#[derive(Debug)]
enum Kinds {
    /// N-grams over the root of their number, and shape tokens.
    Lexical { buckets: i64, grams: Sparse, shape: Sparse },
    /// `[queries, dim]`.
    Embedding(Tensor),
}

/// A sparse matrix by rows.
#[derive(Debug)]
struct Sparse {
    ids: Tensor,
    offsets: Tensor,
    weights: Tensor,
    row_of: Tensor,
    /// Scale of each column, which is part of `weights`.
    scale: Tensor,
}

/// An inverted kernel `(K + λI)⁻¹`.
#[derive(Debug)]
pub struct Ridge {
    inverse: Tensor,
}

impl Features {
    /// Prepares the features of the queries at `positions`.
    pub fn new(inputs: &QueryInputs, positions: &[usize], buckets: i64, embedding: usize) -> Self {
        let kind = match inputs {
            QueryInputs::Lexical(all) => {
                let ids: Vec<&[i64]> = positions.iter().filter_map(|&p| all.get(p)).map(Vec::as_slice).collect();
                let cut = |ids: &[i64]| SHAPE_TOKENS.min(ids.len());
                let grams: Vec<&[i64]> = ids.iter().map(|ids| ids.split_at(cut(ids)).1).collect();
                let shape: Vec<&[i64]> = ids.iter().map(|ids| ids.split_at(cut(ids)).0).collect();
                let rarity = rarity(&grams, buckets);
                let even = vec![single((SHAPE_SHARE / SHAPE_TOKENS as f64).sqrt()); rarity.len()];
                let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
                let grams = Sparse::new(&grams, &rarity, |row| root(lengths.get(row).copied().unwrap_or(1)));
                Kinds::Lexical { buckets, grams, shape: Sparse::new(&shape, &even, |_| 1.0) }
            }
            QueryInputs::Embedding(rows) => {
                let picked: Vec<Vec<f32>> = positions.iter().filter_map(|&p| rows.get(p)).cloned().collect();
                Kinds::Embedding(from_rows(&picked, embedding))
            }
        };
        Self { rows: positions.len() as i64, kind }
    }

    /// Returns the kernel `Φ Φᵀ`, `[queries, queries]`.
    pub fn kernel(&self) -> Tensor {
        match &self.kind {
            Kinds::Lexical { buckets, grams, shape } => {
                grams.gram(self.rows, buckets + 1) + shape.gram(self.rows, buckets + 1)
            }
            Kinds::Embedding(rows) => rows.matmul(&rows.tr()),
        }
    }

    /// Returns the weights `Φᵀ α` of solutions `[queries, columns]`: two tables of `[features, columns]`, the first
    /// for features over the root of their number, the second for features as they are.
    pub fn weights(&self, solution: &Tensor) -> (Option<Tensor>, Tensor) {
        match &self.kind {
            Kinds::Lexical { buckets, grams, shape } => {
                (Some(grams.spread(solution, buckets + 1)), shape.spread(solution, buckets + 1))
            }
            Kinds::Embedding(rows) => (None, rows.tr().matmul(solution)),
        }
    }
}

impl Sparse {
    fn new(lists: &[&[i64]], scale: &[f32], norm: impl Fn(usize) -> f32) -> Self {
        let (mut ids, mut offsets, mut weights, mut row_of) = (Vec::new(), vec![0_i64], Vec::new(), Vec::new());
        for (row, list) in lists.iter().enumerate() {
            for &id in *list {
                let scale = usize::try_from(id).ok().and_then(|id| scale.get(id)).copied().unwrap_or(0.0);
                if scale > 0.0 {
                    ids.push(id);
                    weights.push(scale * norm(row));
                    row_of.push(row as i64);
                }
            }
            offsets.push(ids.len() as i64);
        }
        let ids = Tensor::from_slice(&ids);
        let scale = Tensor::from_slice(scale).index_select(0, &ids);
        let (offsets, row_of) = (Tensor::from_slice(&offsets), Tensor::from_slice(&row_of));
        Self { ids, offsets, weights: Tensor::from_slice(&weights), row_of, scale }
    }

    /// `X Xᵀ`, some columns at a time: `X` times a dense block of `Xᵀ`.
    fn gram(&self, rows: i64, columns: i64) -> Tensor {
        let mut parts = Vec::new();
        for begin in (0..rows).step_by(COLUMNS) {
            let count = (rows - begin).min(COLUMNS as i64);
            let inside = self.row_of.ge(begin).logical_and(&self.row_of.lt(begin + count));
            let at = inside.nonzero().squeeze_dim(1);
            let slot = self.ids.index_select(0, &at) * count + self.row_of.index_select(0, &at) - begin;
            let flat = Tensor::zeros([columns * count], (Kind::Float, Device::Cpu));
            let block = flat.index_add(0, &slot, &self.weights.index_select(0, &at)).view([columns, count]);
            const SUM: i64 = 0;
            let weights = Some(&self.weights);
            let (part, ..) = Tensor::embedding_bag(&block, &self.ids, &self.offsets, false, SUM, false, weights, true);
            parts.push(part);
        }
        Tensor::cat(&parts, 1)
    }

    /// `Xᵀ α`, each row scaled once more, so that a query's weights are a plain sum of rows over its norm.
    fn spread(&self, solution: &Tensor, columns: i64) -> Tensor {
        let width = solution.size().last().copied().unwrap_or(1);
        let factor = (&self.weights * &self.scale).unsqueeze(1);
        let rows = solution.index_select(0, &self.row_of) * factor;
        Tensor::zeros([columns, width], (Kind::Float, Device::Cpu)).index_add(0, &self.ids, &rows)
    }
}

impl Ridge {
    /// Inverts `kernel + penalty · I`.
    pub fn new(kernel: &Tensor, penalty: f64) -> Self {
        let rows = kernel.size().first().copied().unwrap_or(0);
        let shifted = kernel + Tensor::eye(rows, (Kind::Float, Device::Cpu)) * penalty;
        Self { inverse: shifted.linalg_cholesky(false).cholesky_inverse(false) }
    }

    /// Returns the solution of targets `[queries, columns]`.
    pub fn solve(&self, targets: &Tensor) -> Tensor {
        self.inverse.matmul(targets)
    }

    /// Returns what each query's target would be foretold from all the others.
    pub fn left_out(&self, targets: &Tensor, solution: &Tensor) -> Tensor {
        targets - solution / self.inverse.diagonal(0, 0, 1).unsqueeze(1)
    }
}

/// Returns a scale per id: the square root of a variance of its weight, which is larger for rarer n-grams; 0 for those
/// of one query alone, which say nothing about another. Scaled so that the kernel's diagonal is near its share.
fn rarity(lists: &[&[i64]], buckets: i64) -> Vec<f32> {
    let mut seen = vec![0_u32; usize::try_from(buckets + 1).unwrap_or(1)];
    for id in lists.iter().flat_map(|list| list.iter()) {
        if let Some(count) = usize::try_from(*id).ok().and_then(|id| seen.get_mut(id)) {
            *count += 1;
        }
    }
    let rows = lists.len() as f64;
    let raw: Vec<f64> =
        seen.iter().map(|&count| if count < 2 { 0.0 } else { 1.0 + (rows / f64::from(count)).ln() }).collect();
    let total: f64 = seen.iter().zip(&raw).map(|(&count, scale)| f64::from(count) * scale * scale).sum();
    let mean = total / seen.iter().map(|&count| f64::from(count)).sum::<f64>().max(1.0);
    let unit = ((1.0 - SHAPE_SHARE) / mean.max(1e-12)).sqrt();
    raw.iter().map(|scale| single(scale * unit)).collect()
}

fn root(length: usize) -> f32 {
    (length.max(1) as f32).sqrt().recip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Vec<Vec<i64>> {
        // Seven shape tokens each, then n-grams 10..20.
        let shape = |last: i64| vec![1, 2, 3, 4, 5, 6, last];
        let with = |last: i64, grams: &[i64]| [shape(last), grams.to_vec()].concat();
        vec![with(7, &[10, 11]), with(8, &[11, 12, 13]), with(7, &[10, 12]), with(8, &[13, 11, 10, 12])]
    }

    #[test]
    fn weights_give_the_kernel_back() {
        let inputs = QueryInputs::Lexical(lists());
        let features = Features::new(&inputs, &[0, 1, 2, 3], 20, 0);
        let kernel = features.kernel();
        let unit = Tensor::eye(4, (Kind::Float, Device::Cpu));
        let (grams, shape) = features.weights(&unit);
        for (row, ids) in lists().iter().enumerate() {
            let sum = |table: &Tensor, ids: &[i64]| {
                table.index_select(0, &Tensor::from_slice(ids)).sum_dim_intlist(0, false, Kind::Float)
            };
            let told = sum(grams.as_ref().unwrap(), ids) / (ids.len() as f64).sqrt() + sum(&shape, ids);
            let difference = (told - kernel.get(row as i64)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "row {row}: {difference}");
        }
    }

    #[test]
    fn a_left_out_prediction_is_that_of_a_fit_without_the_query() {
        let inputs = QueryInputs::Lexical(lists());
        let kernel = Features::new(&inputs, &[0, 1, 2, 3], 20, 0).kernel();
        let targets = Tensor::from_slice(&[1.0_f32, -0.5, 0.7, 0.1]).unsqueeze(1);
        let ridge = Ridge::new(&kernel, 0.5);
        let left_out = ridge.left_out(&targets, &ridge.solve(&targets));
        let others = Tensor::from_slice(&[1_i64, 2, 3]);
        let part = kernel.index_select(0, &others).index_select(1, &others);
        let solution = Ridge::new(&part, 0.5).solve(&targets.index_select(0, &others));
        let told = kernel.get(0).index_select(0, &others).dot(&solution.squeeze_dim(1));
        assert!((told.double_value(&[]) - left_out.double_value(&[0, 0])).abs() < 1e-5);
    }
}
