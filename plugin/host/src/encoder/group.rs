//! Groups texts of similar length into padded batches, and pools the model's output into embeddings.

use crate::infer::{Elements, Tensor};

/// Most texts of one batch. Larger batches gain nothing on a CPU and delay the first text.
pub(super) const MAX_GROUP: usize = 8;

/// Returns the sizes of the groups into which texts sorted by length are cut, so that padding stays under a quarter of
/// the work.
pub(super) fn groups(lengths: &[usize]) -> Vec<usize> {
    let mut sizes = Vec::new();
    let (mut size, mut shortest) = (0, 0);
    for &length in lengths {
        if size == MAX_GROUP || (size > 0 && length > shortest + shortest / 3 + 2) {
            sizes.push(size);
            size = 0;
        }
        if size == 0 {
            shortest = length;
        }
        size += 1;
    }
    sizes.extend((size > 0).then_some(size));
    sizes
}

/// Returns the model's three inputs for `texts`: ids padded with zeros, the attention mask, and token types of zero.
pub(super) fn inputs(texts: &[&[i64]]) -> [Tensor; 3] {
    let width = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let dims = vec![extent(texts.len()), extent(width)];
    let padded = |value: fn(i64) -> i64| {
        let row = |ids: &&[i64]| {
            let padding = std::iter::repeat_n(0, width - ids.len());
            ids.iter().map(|&id| value(id)).chain(padding).collect::<Vec<_>>()
        };
        Elements::Int64(texts.iter().flat_map(row).collect())
    };
    let tensor = |name: &str, elements| Tensor { name: name.to_owned(), dims: dims.clone(), elements };
    [
        tensor("input_ids", padded(|id| id)),
        tensor("attention_mask", padded(|_| 1)),
        tensor("token_type_ids", padded(|_| 0)),
    ]
}

/// Returns, for each text, the mean of its tokens' rows in `hidden` [texts, width, dim], scaled to length one.
pub(super) fn pool(hidden: &[f32], lengths: &[usize], dim: usize) -> Vec<Vec<f32>> {
    let width = hidden.len() / (lengths.len() * dim).max(1);
    let rows = hidden.chunks_exact((width * dim).max(1));
    rows.zip(lengths).map(|(row, &length)| mean(row.chunks_exact(dim.max(1)).take(length), dim)).collect()
}

fn mean<'a>(tokens: impl Iterator<Item = &'a [f32]>, dim: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dim];
    for token in tokens {
        sum.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
    }
    // Scaling to length one makes the division by the number of tokens unnecessary.
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value /= norm);
    sum
}

fn extent(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_similar_lengths() {
        assert_eq!(groups(&[]), [0_usize; 0]);
        assert_eq!(groups(&[5, 5, 6, 8, 40, 41]), [4, 2]);
        assert_eq!(groups(&[7; 20]), [8, 8, 4]);
        assert_eq!(groups(&[3, 7, 12]), [1, 1, 1]);
    }

    #[test]
    fn shorter_texts_are_padded_and_masked() {
        let [ids, mask, types] = inputs(&[&[5, 6, 7], &[8]]);
        assert_eq!(ids.dims, [2, 3]);
        assert_eq!(ids.elements, Elements::Int64(vec![5, 6, 7, 8, 0, 0]));
        assert_eq!(mask.elements, Elements::Int64(vec![1, 1, 1, 1, 0, 0]));
        assert_eq!(types.elements, Elements::Int64(vec![0; 6]));
    }

    #[test]
    fn padding_is_ignored_and_embeddings_have_length_one() {
        let hidden = [3.0, 0.0, 0.0, 4.0, /* second text, second token padded */ 0.0, 2.0, 9.0, 9.0];
        let pooled = pool(&hidden, &[2, 1], 2);
        assert_eq!(pooled, [vec![0.6, 0.8], vec![0.0, 1.0]]);
    }
}
