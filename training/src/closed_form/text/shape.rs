//! Shape tokens of query text as smooth features: neighbouring values share their weights.
//!
//! The plugin sends one id per shape token. In training, neighbouring values share their weights by a Gaussian kernel; the
//! exported table has the result for every value, also for those that no training query has.

use std::collections::HashMap;

use personaroute_bundle::lexical::{LARGEST_SHAPES, Lexical};
use tch::Tensor;

use crate::closed_form::constants::{LENGTH_WIDTH, SHAPE_WIDTH};
use crate::model::tensors::{from_rows, single};

/// The token of the length, and that of the last character, whose values have no neighbours.
const LENGTH: usize = 0;
const LAST_CHARACTER: usize = 6;

/// The values behind ids, each with a row of its own; row 0 is for ids that are none.
#[derive(Debug)]
pub struct Shapes {
    rows: HashMap<i64, i64>,
    /// Token and value of each row after the first.
    values: Vec<(usize, u64)>,
}

impl Shapes {
    /// Lists the values of an encoder's tokens; of two values with one id the first is meant.
    pub fn new(lexical: Lexical) -> Self {
        let (mut rows, mut values) = (HashMap::new(), Vec::new());
        for (token, &largest) in LARGEST_SHAPES.iter().enumerate() {
            for value in 0..=largest {
                values.push((token, value));
                rows.entry(lexical.shape_id(token as u64, value)).or_insert(values.len() as i64);
            }
        }
        Self { rows, values }
    }

    /// Returns the number of rows.
    pub fn count(&self) -> i64 {
        self.values.len() as i64 + 1
    }

    /// Returns the row of an id.
    pub fn row(&self, id: i64) -> i64 {
        self.rows.get(&id).copied().unwrap_or(0)
    }

    /// Returns the row of every id of the encoder, `[buckets + 1]`.
    pub fn map(&self, buckets: i64) -> Tensor {
        let rows: Vec<i64> = (0..=buckets).map(|id| self.row(id)).collect();
        Tensor::from_slice(&rows)
    }

    /// Returns how much any two rows share, `[rows, rows]`.
    pub fn smoothing(&self) -> Tensor {
        let columns = self.values.len() + 1;
        let mut rows = vec![vec![0.0; columns]];
        for &(token, value) in &self.values {
            let share = |&(other, at): &(usize, u64)| {
                let width = if token == LENGTH { LENGTH_WIDTH } else { SHAPE_WIDTH };
                let away = at.abs_diff(value) as f64 / width;
                match token == other {
                    true if token == LAST_CHARACTER => f32::from(u8::from(at == value)),
                    true => single((-0.5 * away * away).exp()),
                    false => 0.0,
                }
            };
            rows.push(std::iter::once(0.0).chain(self.values.iter().map(share)).collect());
        }
        from_rows(&rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::query::SHAPE_TOKENS;

    #[test]
    fn the_ids_of_a_text_are_read_back_and_neighbours_share() {
        let lexical = Lexical { buckets: 16_384, max_words: 2, max_ids: 64, seed: 0 };
        let shapes = Shapes::new(lexical);
        let rows: Vec<i64> = lexical.ids("What is 3*4?")[..SHAPE_TOKENS].iter().map(|&id| shapes.row(id)).collect();
        // Twelve bytes are value 36 of the first token.
        assert_eq!(rows[0], 37);
        assert!(rows.iter().all(|&row| row > 0));
        let smoothing = shapes.smoothing();
        assert!((smoothing.double_value(&[37, 41]) - 0.8007).abs() < 1e-3, "half an octave");
        assert_eq!(smoothing.double_value(&[37, 258]), 0.0, "another token");
        assert_eq!(smoothing.double_value(&[rows[6], rows[6]]), 1.0);
        assert_eq!(smoothing.double_value(&[rows[6], rows[6] + 1]), 0.0);
    }
}
