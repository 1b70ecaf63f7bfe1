//! From a query's text to sums of rows of one table: the linear part of the text scorer.

use tch::{Device, Kind, Tensor};

use crate::graph::query::QueryBatch;
use crate::model::tensors::rounded;

/// Largest element of the table of n-grams, an 8-bit integer.
const LARGEST: f64 = 127.0;
/// `sum` among the modes of libtorch's embedding bag.
pub const SUM: i64 = 0;
/// Least norm of a text's n-grams: that of a text without a known n-gram is 0.
pub const MIN_NORM: f64 = 1e-3;

/// Primal weights of solutions, in full precision.
#[derive(Debug)]
pub enum FeatureWeights {
    /// The sum of a query is that of its n-grams' rows over the norm of their inverse document frequencies, plus the rows
    /// of its shape tokens.
    Lexical {
        /// `[buckets + 1, columns]`.
        grams: Tensor,
        /// `[buckets + 1]`: inverse document frequency.
        idf: Tensor,
        /// `[rows, columns]`.
        shape: Tensor,
        /// `[buckets + 1]`: row of a shape token's id.
        shape_row: Tensor,
    },
    /// `[dim, columns]`.
    Embedding(Tensor),
}

/// The table as exported.
#[derive(Debug)]
pub enum FeatureTable {
    /// Hashed n-grams and shape tokens.
    Lexical(NgramTable),
    /// `[dim, columns]`, in 16-bit precision, for an embedding.
    Embedding(Tensor),
}

/// Tables of n-grams and shape tokens.
#[derive(Debug)]
pub struct NgramTable {
    /// `[buckets + 1, columns]`, 8-bit integers.
    pub table: Tensor,
    /// `[buckets + 1]`: scale of each row.
    pub row: Tensor,
    /// `[columns]`: scale of each column.
    pub column: Tensor,
    /// `[buckets + 1]`: squared inverse document frequency; the root of its sum is a text's norm.
    pub square: Tensor,
    /// `[rows, columns]`: shape tokens; row 0 is zero.
    pub shape: Tensor,
    /// `[buckets + 1]`, integers: row of a shape token's id.
    pub shape_row: Tensor,
}

impl FeatureTable {
    /// Returns another handle on the same tables.
    pub fn shallow(&self) -> Self {
        match self {
            Self::Embedding(table) => Self::Embedding(table.shallow_clone()),
            Self::Lexical(table) => Self::Lexical(table.shallow()),
        }
    }

    /// Returns the first `kept` columns, and `zero` more that are nothing.
    pub fn first_columns(&self, kept: i64, zero: i64) -> Self {
        let cut = |table: &Tensor, axis: i64| table.narrow(axis, 0, kept).constant_pad_nd([0, zero]);
        match self {
            Self::Embedding(table) => Self::Embedding(cut(table, 1)),
            Self::Lexical(table) => Self::Lexical(NgramTable {
                table: cut(&table.table, 1),
                column: cut(&table.column, 0),
                shape: cut(&table.shape, 1),
                ..table.shallow()
            }),
        }
    }

    /// Rounds weights to what is exported.
    pub fn of(weights: FeatureWeights) -> Self {
        match weights {
            FeatureWeights::Embedding(table) => Self::Embedding(rounded(&table)),
            FeatureWeights::Lexical { grams, idf, shape, shape_row } => {
                let largest = |table: &Tensor, axis: i64| table.abs().amax([axis].as_slice(), true).clamp_min(1e-20);
                let column = largest(&grams, 0); // [1, C]
                let even = grams / &column;
                let row = largest(&even, 1) / LARGEST; // [V, 1]
                let table = (even / &row).round().to_kind(Kind::Int8);
                let (row, column) = (row.squeeze_dim(1), column.squeeze_dim(0));
                Self::Lexical(NgramTable { table, row, column, square: idf.square(), shape, shape_row })
            }
        }
    }

    /// Returns the sums `[queries, columns]`.
    pub fn forward(&self, batch: &QueryBatch) -> Tensor {
        match (self, batch) {
            (Self::Embedding(table), QueryBatch::Embedding(rows)) => rows.matmul(table),
            (Self::Lexical(table), QueryBatch::Lexical { ids, offsets, shape }) => table.forward(ids, offsets, shape),
            // A model is only given the features it was trained on.
            (Self::Embedding(_), QueryBatch::Lexical { .. }) | (Self::Lexical(_), QueryBatch::Embedding(_)) => {
                Tensor::zeros([0, self.columns()], (Kind::Float, Device::Cpu))
            }
        }
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> i64 {
        let table = match self {
            Self::Lexical(table) => &table.table,
            Self::Embedding(table) => table,
        };
        table.size().last().copied().unwrap_or(0)
    }

    /// Returns every tensor by name.
    pub fn named(&self) -> Vec<(&'static str, Tensor)> {
        match self {
            Self::Embedding(table) => vec![("text.embedding", table.shallow_clone())],
            Self::Lexical(table) => vec![
                ("text.ngram.table", table.table.shallow_clone()),
                ("text.ngram.row", table.row.shallow_clone()),
                ("text.ngram.column", table.column.shallow_clone()),
                ("text.ngram.square", table.square.shallow_clone()),
                ("text.ngram.shape", table.shape.shallow_clone()),
                ("text.ngram.shape_row", table.shape_row.shallow_clone()),
            ],
        }
    }

    /// Takes its tensors out of a file's; `lexical` says which kind it is.
    pub fn take<E>(lexical: bool, take: &mut impl FnMut(&str) -> Result<Tensor, E>) -> Result<Self, E> {
        if !lexical {
            return Ok(Self::Embedding(take("text.embedding")?));
        }
        Ok(Self::Lexical(NgramTable {
            table: take("text.ngram.table")?,
            row: take("text.ngram.row")?,
            column: take("text.ngram.column")?,
            square: take("text.ngram.square")?,
            shape: take("text.ngram.shape")?,
            shape_row: take("text.ngram.shape_row")?,
        }))
    }
}

impl NgramTable {
    fn shallow(&self) -> Self {
        Self {
            table: self.table.shallow_clone(),
            row: self.row.shallow_clone(),
            column: self.column.shallow_clone(),
            square: self.square.shallow_clone(),
            shape: self.shape.shallow_clone(),
            shape_row: self.shape_row.shallow_clone(),
        }
    }

    fn forward(&self, ids: &Tensor, offsets: &Tensor, shape: &Tensor) -> Tensor {
        let sum = |table: &Tensor, weights: Option<&Tensor>| {
            Tensor::embedding_bag(table, ids, offsets, false, SUM, false, weights, true).0
        };
        let row = self.row.index_select(0, ids);
        let grams = sum(&self.table.to_kind(Kind::Float), Some(&row)) * &self.column;
        let norm = sum(&self.square.unsqueeze(1), None).sqrt().clamp_min(MIN_NORM);
        let (queries, tokens) = shape.size2().unwrap_or((0, 0));
        let rows = self.shape_row.index_select(0, &shape.reshape([-1]));
        let shape = self.shape.index_select(0, &rows).view([queries, tokens, -1]);
        grams / norm + shape.sum_dim_intlist(1, false, Kind::Float)
    }
}
