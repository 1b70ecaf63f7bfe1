//! Collects unique ids in the order of their first occurrence.

use super::{Lexical, mix, shape};

/// Returns the id, 1 to `buckets`, of a hash; `salt` is the seed plus the length of the gram.
pub(super) fn bucket_id(buckets: u64, salt: u64, hash: u64) -> u32 {
    let scattered = mix(hash ^ mix(salt));
    #[expect(clippy::cast_possible_truncation, reason = "invariant: at most `buckets`, which is a u32")]
    let id = (1 + (((scattered >> 32) * buckets) >> 32)) as u32;
    id
}

/// A growing list of ids with the set of those it holds.
pub(super) struct Ids {
    ids: Vec<i64>,
    /// A hash set with open addressing; 0 marks a free slot. It has at least twice as many slots as ids, so that a probe
    /// always ends.
    seen: Vec<u32>,
    /// Shift that turns the hash of an id into its first slot.
    shift: u32,
    buckets: u64,
    max_ids: usize,
    seed: u64,
}

impl Ids {
    /// Returns an empty list with room for at most `n_grams` ids.
    pub(super) fn new(lexical: &Lexical, n_grams: usize) -> Self {
        let max_ids = if lexical.buckets == 0 { 0 } else { n_grams.min(lexical.max_ids as usize) };
        let slots = (2 * max_ids).next_power_of_two().max(2);
        Self {
            ids: Vec::with_capacity(max_ids),
            seen: vec![0; slots],
            shift: u32::BITS - slots.trailing_zeros(),
            buckets: u64::from(lexical.buckets),
            max_ids,
            seed: lexical.seed,
        }
    }

    /// Adds the id of a gram of `n` words unless it is present or the list is full.
    pub(super) fn push(&mut self, n: u64, hash: u64) {
        if self.ids.len() >= self.max_ids {
            return;
        }
        self.push_id(bucket_id(self.buckets, self.seed.wrapping_add(n), hash));
    }

    /// Adds the id of a shape token unless it is present or the list is full.
    pub(super) fn push_shape(&mut self, token: u64) {
        if self.ids.len() < self.max_ids {
            self.push_id(shape::id(self.buckets, token));
        }
    }

    fn push_id(&mut self, id: u32) {
        if self.insert(id) {
            self.ids.push(i64::from(id));
        }
    }

    pub(super) fn into_vec(self) -> Vec<i64> {
        self.ids
    }

    /// Adds `id` to the set; false if it was present.
    fn insert(&mut self, id: u32) -> bool {
        let mask = self.seen.len() - 1;
        let mut slot = (id.wrapping_mul(0x9e37_79b1) >> self.shift) as usize;
        while let Some(taken) = self.seen.get_mut(slot & mask) {
            if *taken == id {
                return false;
            }
            if *taken == 0 {
                *taken = id;
                return true;
            }
            slot += 1;
        }
        false
    }
}
