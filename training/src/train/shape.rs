//! Shape tokens of query text as smooth features: a value leans on its neighbours.
//!
//! The plugin sees one id per shape token; in training, values that lie close together share their weights by a
//! Gaussian kernel, which is baked into the table row of every value, those that no training query has included.

use std::collections::HashMap;

use personaroute_bundle::lexical::Lexical;

use crate::model::tensors::single;

/// Largest value of each token: lengths, lines, four shares, and the last character, whose values have no neighbours.
const LARGEST: [u64; 7] = [66, 13, 8, 8, 8, 8, 127];
/// The token of the last character.
const LAST_CHARACTER: usize = 6;
/// Standard deviation of the kernel, in steps of a value.
const WIDTH: f64 = 1.5;
/// Neighbours further away share less than a hundredth.
const REACH: u64 = 4;

/// Number of shape tokens that open a list of ids.
pub const TOKENS: usize = LARGEST.len();

/// Ids with weights.
pub type Weighted = Vec<(i64, f32)>;

/// Finds the values behind ids.
#[derive(Debug)]
pub struct Shapes {
    lexical: Lexical,
    values: Vec<HashMap<i64, u64>>,
}

impl Shapes {
    /// Prepares for the ids of an encoder.
    pub fn new(lexical: Lexical) -> Self {
        let of_token = |(token, &largest): (u64, &u64)| {
            (0..=largest).rev().map(|value| (lexical.shape_id(token, value), value)).collect()
        };
        Self { lexical, values: (0..).zip(&LARGEST).map(of_token).collect() }
    }

    /// Returns the ids as they are, and with their neighbours, each weighted by what it shares.
    pub fn read(&self, ids: &[i64]) -> (Weighted, Weighted) {
        let (mut plain, mut smooth) = (Vec::new(), Vec::new());
        for (token, (&id, values)) in ids.iter().zip(&self.values).enumerate() {
            let Some(&value) = values.get(&id) else { continue };
            plain.push((id, 1.0));
            if token == LAST_CHARACTER {
                smooth.push((id, 1.0));
                continue;
            }
            let largest = LARGEST.get(token).copied().unwrap_or(0);
            for other in value.saturating_sub(REACH)..=(value + REACH).min(largest) {
                let away = other.abs_diff(value) as f64 / WIDTH;
                smooth.push((self.lexical.shape_id(token as u64, other), single((-0.5 * away * away).exp())));
            }
        }
        (plain, smooth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_text_are_read_back_and_shared_with_neighbours() {
        let lexical = Lexical { buckets: 16_384, max_words: 2, max_ids: 64, seed: 0 };
        let ids = lexical.ids("What is 3*4?");
        let (plain, smooth) = Shapes::new(lexical).read(&ids[..TOKENS]);
        assert_eq!(plain.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids[..TOKENS]);
        assert!(plain.iter().all(|pair| smooth.contains(pair)));
        let neighbour = smooth.iter().find(|(id, _)| *id == lexical.shape_id(0, 2 * 4 + 2)).unwrap();
        assert!((neighbour.1 - 0.8007).abs() < 1e-3);
    }
}
