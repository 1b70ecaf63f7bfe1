//! The protocol's split of queries by hash: the same on every machine and in every language.

use super::hash::{Domain, h};
use super::{Dataset, Query, Split};

/// Shares of train, validation and test in thousandths, so that sizes are whole-number arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    train: u64,
    validation: u64,
}

impl Ratio {
    /// The protocol's seven, one and two tenths.
    pub const PROTOCOL: Self = Self { train: 700, validation: 100 };

    /// Returns the ratio of three shares that add up to at most 1; nothing when they do not.
    pub fn new(shares: [f64; 3]) -> Option<Self> {
        let sound = shares.iter().all(|share| (0.0..=1.0).contains(share)) && shares.iter().sum::<f64>() <= 1.0 + 1e-9;
        let [train, validation, _] = shares.map(thousandths);
        (sound && train > 0).then_some(Self { train, validation })
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self::PROTOCOL
    }
}

/// Splits the queries per task: hashed order, then the first shares; the rest is test.
pub fn split(queries: &[Query], tasks: usize, ratio: Ratio, seed: u64) -> Split {
    let mut parts = Split::default();
    for task in 0..tasks {
        let mut rows: Vec<(u64, u64, u32)> = Vec::new();
        for (row, query) in (0_u32..).zip(queries).filter(|(_, query)| query.task as usize == task) {
            rows.push((h(seed, Domain::Split, query.id, 0), query.id, row));
        }
        rows.sort_unstable();
        let count = rows.len() as u64;
        let train = ratio.train * count / 1000;
        let validation = train + ratio.validation * count / 1000;
        for (position, (_, _, row)) in (0_u64..).zip(rows) {
            match position {
                p if p < train => parts.train.push(row),
                p if p < validation => parts.validation.push(row),
                _ => parts.test.push(row),
            }
        }
    }
    parts
}

/// Returns the `count` of `rows` with the lowest hash for this user, in the order of the hash.
pub fn lowest(dataset: &Dataset, rows: &[u32], count: usize, hash: impl Fn(u64) -> u64) -> Vec<u32> {
    let id = |row: u32| dataset.queries.get(row as usize).map_or(0, |query| query.id);
    let mut hashed: Vec<(u64, usize, u32)> =
        rows.iter().enumerate().map(|(at, &row)| (hash(id(row)), at, row)).collect();
    if count < hashed.len() {
        hashed.select_nth_unstable(count);
        hashed.truncate(count);
    }
    hashed.sort_unstable();
    hashed.into_iter().map(|(_, _, row)| row).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: called with 0..=1 only")]
fn thousandths(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(count: u64) -> Vec<Query> {
        (0..count).map(|id| Query { id, task: u32::from(id % 3 == 0), text: String::new() }).collect()
    }

    #[test]
    fn parts_are_disjoint_complete_and_sized_in_whole_numbers() {
        let queries = queries(100);
        let parts = split(&queries, 2, Ratio::PROTOCOL, 5);
        // 34 of one task (23, 3, 8) and 66 of the other (46, 6, 14).
        assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (69, 9, 22));
        let mut all = [parts.train, parts.validation, parts.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn another_seed_is_another_split() {
        let queries = queries(100);
        let [a, b] = [0, 1].map(|seed| split(&queries, 2, Ratio::PROTOCOL, seed));
        assert_ne!(a.test, b.test);
    }

    #[test]
    fn shares_beyond_one_are_no_ratio() {
        assert_eq!(Ratio::new([0.7, 0.1, 0.2]), Some(Ratio::PROTOCOL));
        assert_eq!(Ratio::new([0.8, 0.2, 0.1]), None);
        assert_eq!(Ratio::new([-0.1, 0.5, 0.5]), None);
        assert_eq!(Ratio::new([0.0, 0.5, 0.5]), None);
    }
}
