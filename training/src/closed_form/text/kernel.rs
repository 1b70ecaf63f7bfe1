//! The kernel between training queries, and the table of weights that a dual solution becomes.
//!
//! Half of the kernel is the cosine of the queries' n-grams, weighted by inverse document frequency; half is the likeness of
//! their shape tokens, whose neighbouring values are alike. With the embedding encoder it is the dot product of the vectors.
//! A solution `α` over the training queries becomes weights of features, `Φᵀα`, which is all that the scorer needs.

use personaroute_bundle::lexical::Lexical;
use tch::{Device, Kind, Tensor};

use super::shape::Shapes;
use crate::closed_form::constants::{KERNEL_COLUMNS, SHAPE_SHARE};
use crate::closed_form::model::feature_table::{FeatureWeights, SUM};
use crate::graph::query::{QueryInputs, SHAPE_TOKENS};
use crate::model::tensors::{extent, from_rows, single};

/// Features of the training queries.
#[derive(Debug)]
pub enum Features {
    /// N-grams and shape tokens.
    Lexical(LexicalFeatures),
    /// `[queries, dim]`.
    Embedding(Tensor),
}

/// N-grams and shape tokens of the training queries.
#[derive(Debug)]
pub struct LexicalFeatures {
    rows: i64,
    buckets: i64,
    grams: Sparse,
    /// `[buckets + 1]`: inverse document frequency; 0 for n-grams of one query alone, which say nothing about another.
    idf: Tensor,
    /// `[queries, rows of shapes]`.
    shape: Tensor,
    /// `[rows, rows]`.
    smoothing: Tensor,
    /// `[buckets + 1]`: row of each id.
    shape_row: Tensor,
    share: [f64; 2],
}

/// A sparse matrix `X` `[queries, ids]`, by rows and by columns.
#[derive(Debug)]
struct Sparse {
    ids: Tensor,
    offsets: Tensor,
    weights: Tensor,
    row_of: Tensor,
    by_id: ByColumn,
}

#[derive(Debug)]
struct ByColumn {
    rows: Tensor,
    offsets: Tensor,
    weights: Tensor,
}

impl Features {
    /// Prepares the features of the queries at `positions`; `shape` says whether shape tokens count.
    pub fn new(inputs: &QueryInputs, positions: &[usize], lexical: Option<Lexical>, shape: bool) -> Self {
        match inputs {
            QueryInputs::Lexical(all) => {
                let lists: Vec<&[i64]> = positions.iter().filter_map(|&p| all.get(p)).map(Vec::as_slice).collect();
                let none = Lexical { buckets: 1, max_words: 1, max_ids: 1, seed: 0 };
                Self::Lexical(LexicalFeatures::new(&lists, lexical.unwrap_or(none), shape))
            }
            QueryInputs::Embedding(rows) => {
                let picked: Vec<Vec<f32>> = positions.iter().filter_map(|&p| rows.get(p)).cloned().collect();
                let columns = picked.first().map_or(0, Vec::len);
                Self::Embedding(from_rows(&picked, columns))
            }
        }
    }

    /// Returns the kernel `Φ Φᵀ`, `[queries, queries]`.
    pub fn kernel(&self) -> Tensor {
        match self {
            Self::Lexical(lexicon) => lexicon.kernel(),
            Self::Embedding(rows) => rows.matmul(&rows.tr()),
        }
    }

    /// Returns the weights of solutions `[queries, columns]`.
    pub fn weights_of(&self, solution: &Tensor) -> FeatureWeights {
        match self {
            Self::Lexical(lexicon) => lexicon.weights_of(solution),
            Self::Embedding(rows) => FeatureWeights::Embedding(rows.tr().matmul(solution)),
        }
    }
}

impl LexicalFeatures {
    fn new(lists: &[&[i64]], lexical: Lexical, with_shape: bool) -> Self {
        let shapes = Shapes::new(lexical);
        let buckets = i64::from(lexical.buckets);
        let grams: Vec<&[i64]> = lists.iter().map(|ids| ids.get(SHAPE_TOKENS..).unwrap_or_default()).collect();
        let idf = idf(&grams, buckets);
        let rows = lists.len() as i64;
        let mut index = Vec::new();
        for (row, ids) in (0_i64..).zip(lists) {
            index.extend(ids.iter().take(SHAPE_TOKENS).map(|&id| row * shapes.count() + shapes.row(id)));
        }
        let flat = Tensor::zeros([rows * shapes.count()], (Kind::Float, Device::Cpu));
        let ones = Tensor::ones([index.len() as i64], (Kind::Float, Device::Cpu));
        let shape = flat.index_add(0, &Tensor::from_slice(&index), &ones).view([rows, shapes.count()]);
        let share = if with_shape { SHAPE_SHARE } else { 0.0 };
        Self {
            rows,
            buckets,
            grams: Sparse::new(&grams, &idf),
            idf: Tensor::from_slice(&idf),
            shape,
            smoothing: shapes.smoothing(),
            shape_row: shapes.map(buckets),
            share: [1.0 - share, share / SHAPE_TOKENS as f64],
        }
    }

    /// Returns the number of ids.
    pub fn buckets(&self) -> i64 {
        self.buckets
    }

    fn kernel(&self) -> Tensor {
        let [grams, shape] = self.share;
        let alike = self.shape.matmul(&self.smoothing).matmul(&self.shape.tr());
        self.grams.gram(self.rows, self.buckets + 1) * grams + alike * shape
    }

    fn weights_of(&self, solution: &Tensor) -> FeatureWeights {
        let [grams, shape] = self.share;
        FeatureWeights::Lexical {
            grams: self.grams.spread(solution) * self.idf.unsqueeze(1) * grams,
            idf: self.idf.shallow_clone(),
            shape: self.smoothing.matmul(&self.shape.tr().matmul(solution)) * shape,
            shape_row: self.shape_row.shallow_clone(),
        }
    }
}

impl Sparse {
    /// Takes rows of unit length: the ids' weights over the root of their summed squares.
    fn new(lists: &[&[i64]], weight: &[f32]) -> Self {
        let known = |id: i64| usize::try_from(id).ok().and_then(|id| weight.get(id)).copied().unwrap_or(0.0);
        let (mut ids, mut offsets, mut weights, mut row_of) = (Vec::new(), vec![0_i64], Vec::new(), Vec::new());
        for (row, list) in (0_i64..).zip(lists) {
            let length = list.iter().map(|&id| known(id).powi(2)).sum::<f32>().sqrt();
            for &id in list.iter().filter(|&&id| known(id) > 0.0) {
                ids.push(id);
                weights.push(known(id) / length);
                row_of.push(row);
            }
            offsets.push(ids.len() as i64);
        }
        let by_id = ByColumn::new(&ids, &row_of, &weights, weight.len());
        let [ids, offsets, row_of] = [ids, offsets, row_of].map(|column| Tensor::from_slice(&column));
        Self { ids, offsets, weights: Tensor::from_slice(&weights), row_of, by_id }
    }

    /// `X Xᵀ`, some columns at a time: `X` times a dense block of `Xᵀ`.
    fn gram(&self, rows: i64, columns: i64) -> Tensor {
        let mut parts = Vec::new();
        for begin in (0..rows).step_by(KERNEL_COLUMNS) {
            let count = (rows - begin).min(KERNEL_COLUMNS as i64);
            let inside = self.row_of.ge(begin).logical_and(&self.row_of.lt(begin + count));
            let at = inside.nonzero().squeeze_dim(1);
            let slot = self.ids.index_select(0, &at) * count + self.row_of.index_select(0, &at) - begin;
            let flat = Tensor::zeros([columns * count], (Kind::Float, Device::Cpu));
            let block = flat.index_add(0, &slot, &self.weights.index_select(0, &at)).view([columns, count]);
            parts.push(weighted_sums(&block, [&self.ids, &self.offsets, &self.weights]));
        }
        Tensor::cat(&parts, 1)
    }

    /// `Xᵀ α`.
    fn spread(&self, solution: &Tensor) -> Tensor {
        weighted_sums(&solution.contiguous(), [&self.by_id.rows, &self.by_id.offsets, &self.by_id.weights])
    }
}

impl ByColumn {
    fn new(ids: &[i64], row_of: &[i64], weights: &[f32], columns: usize) -> Self {
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&at| ids.get(at));
        let mut counts = vec![0_i64; columns + 1];
        for &id in ids {
            if let Some(count) = counts.get_mut(extent(id) + 1) {
                *count += 1;
            }
        }
        let mut total = 0;
        let offsets: Vec<i64> = counts
            .iter()
            .map(|count| {
                total += count;
                total
            })
            .collect();
        let rows: Vec<i64> = order.iter().filter_map(|&at| row_of.get(at)).copied().collect();
        let weights: Vec<f32> = order.iter().filter_map(|&at| weights.get(at)).copied().collect();
        Self {
            rows: Tensor::from_slice(&rows),
            offsets: Tensor::from_slice(&offsets),
            weights: Tensor::from_slice(&weights),
        }
    }
}

/// Returns, for each bag of rows of `table`, their weighted sum.
fn weighted_sums(table: &Tensor, [rows, offsets, weights]: [&Tensor; 3]) -> Tensor {
    let (sums, ..) = Tensor::embedding_bag(table, rows, offsets, false, SUM, false, Some(weights), true);
    sums
}

/// Returns the inverse document frequency of each id, 0 for those of one query alone.
fn idf(lists: &[&[i64]], buckets: i64) -> Vec<f32> {
    let mut seen = vec![0_u32; extent(buckets) + 1];
    for id in lists.iter().flat_map(|list| list.iter()) {
        if let Some(count) = usize::try_from(*id).ok().and_then(|id| seen.get_mut(id)) {
            *count += 1;
        }
    }
    let rows = lists.len() as f64 + 1.0;
    let weight = |&count: &u32| if count < 2 { 0.0 } else { single((rows / (f64::from(count) + 1.0)).ln().max(0.0)) };
    seen.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed_form::model::feature_table::{FeatureTable, NgramTable};

    const LEXICAL: Lexical = Lexical { buckets: 512, max_words: 2, max_ids: 64, seed: 3 };

    fn inputs() -> QueryInputs {
        let texts =
            ["add 3 and 4", "add 4 apples and pears", "print a loop", "a loop and a poem", "rhyme a poem, please!"];
        QueryInputs::Lexical(texts.iter().map(|text| LEXICAL.ids(text)).collect())
    }

    #[test]
    fn the_table_reproduces_the_kernel() {
        let all: Vec<usize> = (0..5).collect();
        let features = Features::new(&inputs(), &all, Some(LEXICAL), true);
        let kernel = features.kernel();
        let unit = Tensor::eye(5, (Kind::Float, Device::Cpu));
        let input = FeatureTable::of(features.weights_of(&unit));
        let found = input.forward(&inputs().batch(&all));
        let error = (found - &kernel).abs().max().double_value(&[]);
        // The table is kept in eight bits.
        assert!(error < 0.02, "{error}");
        let diagonal = kernel.diagonal(0, 0, 1);
        assert!((diagonal - 1.0).abs().max().double_value(&[]) < 1e-4);
        assert!(matches!(input, FeatureTable::Lexical(NgramTable { .. })));
    }
}
