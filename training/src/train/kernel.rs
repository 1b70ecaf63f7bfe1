//! Ridge regression on query text: a kernel over the training queries, solved exactly, and its explicit weights.
//!
//! A query's features are its n-grams, each scaled by how rare it is, over their norm, and its shape
//! tokens, smoothed, as they are; with the embedding encoder, the vector. A solution `α` over the training queries becomes a
//! table of feature weights `Φᵀα`, which is all that the scorer needs.

use tch::{Device, Kind, Tensor};

use crate::graph::text::QueryInputs;
use crate::model::tensors::{extent, from_rows, single};

use super::hparams::TextEncoder;
use super::shape::{Shapes, TOKENS, Weighted};

/// Share of the kernel that shape tokens make up.
const SHAPE_SHARE: f64 = 0.5;
/// Least summed variance of a text's n-grams: one that was seen in half of the texts.
pub const NORM_FLOOR: f32 = 0.5;
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
    Lexical { buckets: i64, grams: Sparse, variance: Tensor, shape: Sparse },
    /// `[queries, dim]`.
    Embedding(Tensor),
}

/// Explicit weights of features.
#[derive(Debug)]
pub struct Weights {
    /// `[features, columns]` of n-grams, and `[features, 1]`: their variance, over the root of whose sum they count.
    pub grams: Option<(Tensor, Tensor)>,
    /// `[features, columns]` of features that count as they are.
    pub plain: Tensor,
}

/// A kernel `P Sᵀ` of two sparse matrices by rows, with the weights `Sᵀ α` of its solutions.
#[derive(Debug)]
struct Sparse {
    /// What a query looks like to the scorer.
    plain: Rows,
    /// What it lends its target to.
    smooth: Rows,
}

#[derive(Debug)]
struct Rows {
    ids: Tensor,
    offsets: Tensor,
    weights: Tensor,
    row_of: Tensor,
}

/// An inverted kernel `(K + λI)⁻¹`.
#[derive(Debug)]
pub struct Ridge {
    inverse: Tensor,
}

impl Features {
    /// Prepares the features of the queries at `positions`.
    pub fn new(encoder: &TextEncoder, inputs: &QueryInputs, positions: &[usize], embedding: usize) -> Self {
        let rows = positions.len() as i64;
        match (inputs, encoder) {
            (QueryInputs::Lexical(all), TextEncoder::Lexical(lexical)) => {
                let ids: Vec<&[i64]> = positions.iter().filter_map(|&p| all.get(p)).map(Vec::as_slice).collect();
                let buckets = i64::from(lexical.buckets);
                let (grams, variance) = grams(&ids, buckets);
                let shape = shape(&ids, &Shapes::new(*lexical));
                Self { rows, kind: Kinds::Lexical { buckets, grams, variance, shape } }
            }
            (QueryInputs::Embedding(all), _) => {
                let picked: Vec<Vec<f32>> = positions.iter().filter_map(|&p| all.get(p)).cloned().collect();
                Self { rows, kind: Kinds::Embedding(from_rows(&picked, embedding)) }
            }
            (QueryInputs::Lexical(_), TextEncoder::Embedding) => {
                Self { rows, kind: Kinds::Embedding(Tensor::zeros([rows, 1], (Kind::Float, Device::Cpu))) }
            }
        }
    }

    /// Returns the kernel `Φ Φᵀ`, `[queries, queries]`.
    pub fn kernel(&self) -> Tensor {
        match &self.kind {
            Kinds::Lexical { buckets, grams, shape, .. } => {
                grams.gram(self.rows, buckets + 1) + shape.gram(self.rows, buckets + 1)
            }
            Kinds::Embedding(rows) => rows.matmul(&rows.tr()),
        }
    }

    /// Returns the weights `Φᵀ α` of solutions `[queries, columns]`.
    pub fn weights(&self, solution: &Tensor) -> Weights {
        match &self.kind {
            Kinds::Lexical { buckets, grams, variance, shape } => Weights {
                grams: Some((grams.spread(solution, buckets + 1), variance.shallow_clone())),
                plain: shape.spread(solution, buckets + 1),
            },
            Kinds::Embedding(rows) => Weights { grams: None, plain: rows.tr().matmul(solution) },
        }
    }
}

impl Rows {
    fn new(lists: &[Weighted]) -> Self {
        let (mut ids, mut offsets, mut weights, mut row_of) = (Vec::new(), vec![0_i64], Vec::new(), Vec::new());
        for (row, list) in lists.iter().enumerate() {
            for &(id, weight) in list.iter().filter(|(_, weight)| *weight > 0.0) {
                ids.push(id);
                weights.push(weight);
                row_of.push(row as i64);
            }
            offsets.push(ids.len() as i64);
        }
        let [ids, offsets, row_of] = [ids, offsets, row_of].map(|list| Tensor::from_slice(&list));
        Self { ids, offsets, weights: Tensor::from_slice(&weights), row_of }
    }

    /// Returns the rows `begin..begin + count`, dense and turned: `[columns, count]`.
    fn block(&self, begin: i64, count: i64, columns: i64) -> Tensor {
        let inside = self.row_of.ge(begin).logical_and(&self.row_of.lt(begin + count));
        let at = inside.nonzero().squeeze_dim(1);
        let slot = self.ids.index_select(0, &at) * count + self.row_of.index_select(0, &at) - begin;
        let flat = Tensor::zeros([columns * count], (Kind::Float, Device::Cpu));
        flat.index_add(0, &slot, &self.weights.index_select(0, &at)).view([columns, count])
    }
}

impl Sparse {
    /// `P Sᵀ`, some columns at a time: `P` times a dense block of `Sᵀ`.
    fn gram(&self, rows: i64, columns: i64) -> Tensor {
        const SUM: i64 = 0;
        let parts: Vec<Tensor> = (0..rows)
            .step_by(COLUMNS)
            .map(|begin| {
                let block = self.smooth.block(begin, (rows - begin).min(COLUMNS as i64), columns);
                let Rows { ids, offsets, weights, .. } = &self.plain;
                Tensor::embedding_bag(&block, ids, offsets, false, SUM, false, Some(weights), true).0
            })
            .collect();
        Tensor::cat(&parts, 1)
    }

    /// `Sᵀ α`.
    fn spread(&self, solution: &Tensor, columns: i64) -> Tensor {
        let width = solution.size().last().copied().unwrap_or(1);
        let rows = solution.index_select(0, &self.smooth.row_of) * self.smooth.weights.unsqueeze(1);
        Tensor::zeros([columns, width], (Kind::Float, Device::Cpu)).index_add(0, &self.smooth.ids, &rows)
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

/// Shape tokens with their neighbours; the kernel's diagonal is its share.
fn shape(ids: &[&[i64]], shapes: &Shapes) -> Sparse {
    let scale = single(SHAPE_SHARE / TOKENS as f64);
    let (plain, smooth): (Vec<_>, Vec<_>) = ids.iter().map(|ids| shapes.read(ids.get(..TOKENS).unwrap_or(ids))).unzip();
    let scaled = |list: Weighted| list.into_iter().map(|(id, weight)| (id, scale * weight)).collect();
    let smooth: Vec<Weighted> = smooth.into_iter().map(scaled).collect();
    Sparse { plain: Rows::new(&plain), smooth: Rows::new(&smooth) }
}

/// N-grams over the root of the number of ids, as the scorer takes them; their prior variance is in what they lend.
fn grams(ids: &[&[i64]], buckets: i64) -> Sparse {
    let grams: Vec<&[i64]> = ids.iter().map(|ids| ids.get(TOKENS..).unwrap_or(&[])).collect();
    let variance = variance(&grams, buckets);
    let known = |id: &i64| usize::try_from(*id).ok().and_then(|id| variance.get(id)).copied().unwrap_or(0.0);
    let (mut plain, mut smooth) = (Vec::new(), Vec::new());
    // Ids of shape tokens may fall on those of n-grams: the scorer cannot tell them apart, so all ids count here.
    for ids in ids {
        let kept = || ids.iter().map(|id| (*id, known(id))).filter(|(_, variance)| *variance > 0.0);
        let norm = kept().map(|(_, variance)| variance).sum::<f32>().max(NORM_FLOOR).sqrt().recip();
        plain.push(kept().map(|(id, _)| (id, norm)).collect());
        smooth.push(kept().map(|(id, variance)| (id, single(1.0 - SHAPE_SHARE) * norm * variance)).collect());
    }
    (Sparse { plain: Rows::new(&plain), smooth: Rows::new(&smooth) }, Tensor::from_slice(&variance).unsqueeze(1))
}

/// Returns the prior variance of each id's weight: larger for rarer n-grams, 0 for those of one query alone, which say
/// nothing about another.
fn variance(lists: &[&[i64]], buckets: i64) -> Vec<f32> {
    let mut seen = vec![0_u32; extent(buckets + 1)];
    for id in lists.iter().flat_map(|list| list.iter()) {
        if let Some(count) = usize::try_from(*id).ok().and_then(|id| seen.get_mut(id)) {
            *count += 1;
        }
    }
    let rows = lists.len() as f64;
    let rarity = |count: u32| ((rows + 1.0) / (f64::from(count) + 1.0)).ln().powi(2);
    seen.iter().map(|&count| if count < 2 { 0.0 } else { single(rarity(count)) }).collect()
}

#[cfg(test)]
mod tests {
    use personaroute_bundle::lexical::Lexical;

    use super::*;

    fn features() -> (Vec<Vec<i64>>, Features) {
        let lexical = Lexical { buckets: 4_096, max_words: 2, max_ids: 64, seed: 0 };
        let texts = ["add the apples", "add the pears!", "print a loop, then 3", "the loop prints apples 12 times"];
        let ids: Vec<Vec<i64>> = texts.iter().map(|text| lexical.ids(text)).collect();
        let inputs = QueryInputs::Lexical(ids.clone());
        (ids, Features::new(&TextEncoder::Lexical(lexical), &inputs, &[0, 1, 2, 3], 0))
    }

    #[test]
    fn weights_give_the_kernel_back() {
        let (all, features) = features();
        let kernel = features.kernel();
        let weights = features.weights(&Tensor::eye(4, (Kind::Float, Device::Cpu)));
        for (row, ids) in (0..).zip(&all) {
            let sum =
                |table: &Tensor| table.index_select(0, &Tensor::from_slice(ids)).sum_dim_intlist(0, false, Kind::Float);
            let (table, variance) = weights.grams.as_ref().unwrap();
            let told = sum(table) / sum(variance).clamp_min(f64::from(NORM_FLOOR)).sqrt() + sum(&weights.plain);
            let difference = (told - kernel.get(row)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "row {row}: {difference}");
        }
    }

    #[test]
    fn a_left_out_prediction_is_that_of_a_fit_without_the_query() {
        let kernel = features().1.kernel();
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
