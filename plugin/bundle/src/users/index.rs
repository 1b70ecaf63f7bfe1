//! `users.idx`: a hash table from user ids to rows; a look-up reads a few cache lines.
//!
//! All integers are little-endian. The file is
//!
//! 1. 32 bytes: the magic `PRUIDX01`, the number of users, of slots (a power of two, more than users) and of id bytes,
//!    each u64;
//! 2. the slots, 8 bytes each: a row plus one (u32, 0 when free) and the upper half of the id's hash (u32). A user is
//!    in the first free slot at or after the lower half of the hash, modulo the slots;
//! 3. users + 1 offsets (u64) into the id bytes;
//! 4. the ids in the order of the rows, one after the other.

use std::path::Path;

use crate::error::{BundleError, Fields};
use crate::lexical::mix;
use crate::source::Content;

const MAGIC: [u8; 8] = *b"PRUIDX01";
const HEADER: usize = 32;
const SLOT: usize = 8;
const OFFSET: usize = 8;

/// The index in memory.
#[derive(Debug)]
pub(super) struct Index {
    content: Content,
    len: usize,
    slots: usize,
}

impl Index {
    /// Checks the header of a file; only errors name `file`.
    pub(super) fn new(content: Content, file: &Path) -> Result<Self, BundleError> {
        let fields = Fields::of(file);
        let magic = content.get(..MAGIC.len()).unwrap_or(&content);
        fields.check("magic", magic == MAGIC, MAGIC.escape_ascii(), magic.escape_ascii())?;
        let header =
            |at| integer(&content, at).ok_or_else(|| BundleError::field(file, "header", HEADER, content.len()));
        let (len, slots, id_bytes) = (header(8)?, header(16)?, header(24)?);
        // Rows are stored plus one in 32 bits.
        fields.check("count", len < u32::MAX as usize, format_args!("less than {}", u32::MAX), len)?;
        fields.check("slots", slots.is_power_of_two() && slots > len, "a power of two above the count", slots)?;
        let size = size(len, slots, id_bytes);
        let expected = size.map_or("a size that fits memory".into(), |size| size.to_string());
        fields.check("size in bytes", size == Some(content.len()), expected, content.len())?;
        let index = Self { content, len, slots };
        let (first, last) = (index.offset(0).unwrap_or(usize::MAX), index.offset(len).unwrap_or(usize::MAX));
        fields.equal("first offset", &0, &first)?;
        fields.equal("last offset", &id_bytes, &last)?;
        Ok(index)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the row of the user with this id.
    pub(super) fn row(&self, id: &str) -> Option<usize> {
        let hash = hash(id);
        for slot in probe(hash, self.slots) {
            let (taken, tag) = self.slot(slot)?;
            let row = taken.checked_sub(1)? as usize;
            if tag == upper(hash) && self.bytes(row) == Some(id.as_bytes()) {
                return Some(row);
            }
        }
        None
    }

    /// Returns the id of a row.
    pub(super) fn id(&self, row: usize) -> Option<&str> {
        str::from_utf8(self.bytes(row)?).ok()
    }

    fn slot(&self, slot: usize) -> Option<(u32, u32)> {
        let start = HEADER + slot * SLOT;
        let (taken, tag) = self.content.get(start..start + SLOT)?.split_at_checked(4)?;
        Some((u32::from_le_bytes(*taken.as_array()?), u32::from_le_bytes(*tag.as_array()?)))
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        let ids = HEADER + self.slots * SLOT + (self.len + 1) * OFFSET;
        self.content.get(ids..)?.get(self.offset(row)?..self.offset(row + 1)?)
    }

    fn offset(&self, row: usize) -> Option<usize> {
        integer(&self.content, HEADER + self.slots * SLOT + row.checked_mul(OFFSET)?)
    }
}

/// Builds the file for `ids`, the id of each row. Returns the row of the second of two equal ids.
pub(super) fn build(ids: &[&str]) -> Result<Vec<u8>, usize> {
    // At most three quarters full: probes are short and always reach a free slot.
    let n_slots = (ids.len() * 4 / 3 + 1).next_power_of_two();
    let mut slots: Vec<(u32, u32)> = vec![(0, 0); n_slots];
    for (row, id) in ids.iter().enumerate() {
        let hash = hash(id);
        let taken_by_equal = |taken: u32| ids.get(taken as usize - 1) == Some(id);
        for slot in probe(hash, n_slots) {
            let Some(slot) = slots.get_mut(slot) else { continue };
            if slot.0 == 0 {
                *slot = (u32::try_from(row + 1).map_err(|_| row)?, upper(hash));
                break;
            }
            if slot.1 == upper(hash) && taken_by_equal(slot.0) {
                return Err(row);
            }
        }
    }
    let id_bytes: usize = ids.iter().map(|id| id.len()).sum();
    let mut file = Vec::with_capacity(size(ids.len(), n_slots, id_bytes).unwrap_or(0));
    file.extend(MAGIC);
    for integer in [ids.len(), n_slots, id_bytes] {
        file.extend((integer as u64).to_le_bytes());
    }
    for (taken, tag) in slots {
        file.extend(taken.to_le_bytes());
        file.extend(tag.to_le_bytes());
    }
    let mut offset = 0_u64;
    file.extend(offset.to_le_bytes());
    for id in ids {
        offset += id.len() as u64;
        file.extend(offset.to_le_bytes());
    }
    for id in ids {
        file.extend(id.as_bytes());
    }
    Ok(file)
}

fn size(len: usize, slots: usize, id_bytes: usize) -> Option<usize> {
    let offsets = len.checked_add(1)?.checked_mul(OFFSET)?;
    HEADER.checked_add(slots.checked_mul(SLOT)?)?.checked_add(offsets)?.checked_add(id_bytes)
}

fn integer(bytes: &[u8], at: usize) -> Option<usize> {
    let integer = bytes.get(at..at.checked_add(8)?)?.as_array()?;
    usize::try_from(u64::from_le_bytes(*integer)).ok()
}

/// Returns every slot once, starting with that of this hash.
#[expect(clippy::cast_possible_truncation, reason = "the lower bits select the slot")]
fn probe(hash: u64, slots: usize) -> impl Iterator<Item = usize> {
    let first = hash as usize;
    (0..slots).map(move |distance| first.wrapping_add(distance) & (slots - 1))
}

fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// FNV-1a over the bytes, then a step of SplitMix64, because the lower bits of FNV are weak.
fn hash(id: &str) -> u64 {
    mix(id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}
