//! The lexical encoding: turns query text into hashed n-gram ids, identically in training and in the plugin.
//!
//! This is feature encoding version 2 ([`ENCODING_VERSION`]). Every trained bundle depends on it: a change of any rule
//! below, or of any constant in this module, is a new version.
//!
//! 1. **Read** the longest prefix of the text that has at most [`MAX_BYTES`] bytes and ends between characters.
//! 2. **Words** of the prefix, the first [`MAX_WORDS`] of them:
//!    - a run of alphanumeric characters (`char::is_alphanumeric`), lowercased character by character
//!      (`char::to_lowercase`);
//!    - a run of ASCII digits alone becomes `0` repeated as often as it has digits, four times at most: amounts differ
//!      from query to query, their size rarely does;
//!    - an ideograph or kana (U+2E80–U+9FFF, U+F900–U+FAFF, U+20000–U+3FFFF) is a word by itself, as those scripts do
//!      not separate words;
//!    - a run of one same character that is neither alphanumeric nor whitespace becomes that character, repeated three
//!      times at most (`=` and `==` differ, two rules of dashes do not);
//!    - whitespace (`char::is_whitespace`) separates words and is no word.
//! 3. **Hash** of a word: FNV-1a (64 bits) over its UTF-8 bytes.
//! 4. **Grams**: of each position in reading order, the word itself, then the 2-gram, 3-gram … ending there, up to
//!    `max_words`. An n-gram of n ≥ 2 may begin at the start of the text, which counts as one word (hash
//!    `0x5f73_7461_7274_5f00`) before the first. The hash of an n-gram starts with that of its last word and takes in
//!    the words before it, backwards: `h = mix(h) ^ word`. `mix(x)` is what SplitMix64 gives from the state `x`:
//!    `x += 0x9e3779b97f4a7c15; x = (x ^ x >> 30) · 0xbf58476d1ce4e5b9; x = (x ^ x >> 27) · 0x94d049bb133111eb;
//!    x ^ x >> 31`, wrapping.
//! 5. **Shape** tokens, before all grams, describe the surface. Token `k` with value `v` has the id
//!    `1 + (o + v) mod buckets`, so that no two of them share one where there are 434 buckets:
//!
//!    | k | o | value |
//!    |---|---|---|
//!    | 0 | 0 | length of the whole text in bytes, in eighth octaves: 8·bits + the three bits below the leading one, at most 255; 0 for none |
//!    | 1 | 256 | line breaks in the prefix: number of bits of their count |
//!    | 2 | 270 | share of ASCII digits among the prefix's bytes |
//!    | 3 | 279 | share of ASCII punctuation |
//!    | 4 | 288 | share of ASCII capitals |
//!    | 5 | 297 | share of non-ASCII bytes |
//!    | 6 | 306 | the last character that is not whitespace: its code if ASCII punctuation, else 1 for an ASCII digit, 2 for another alphanumeric, 3 for any other, 0 for none |
//!
//!    A share is 0 for none at all, else `1 + min(7, 16·count / bytes)`.
//! 6. **Id** of the hash `h` of a gram: `1 + (((mix(h ^ mix(seed + n)) >> 32) · buckets) >> 32)`, with `n` the length of the
//!    gram in words, and `+` wrapping; so ids run from 1 to `buckets` and 0 is left for padding.
//! 7. **Result**: ids in the order of their first occurrence, each once, the first `max_ids`.
//!
//! Characters that Unicode assigns after the toolchain's version may change class between toolchains; all others never.

mod ids;
mod shape;
mod words;

use self::ids::Ids;
use self::words::Words;

/// The version of the feature encoding in this crate; a bundle of another version is refused.
pub const ENCODING_VERSION: u32 = 2;

/// The largest value of each shape token.
pub const LARGEST_SHAPES: [u64; 7] = [255, 13, 8, 8, 8, 8, 127];

/// Most bytes of a text that are read: each count of the shape fits 12 bits.
pub const MAX_BYTES: usize = 4_095;

/// Most words of a text that are encoded.
pub const MAX_WORDS: usize = 256;

/// The hash of the word that stands before the first one.
const START: u64 = 0x5f73_7461_7274_5f00;

/// The lexical encoder's parameters, as trained.
///
/// ```
/// use personaroute_bundle::lexical::Lexical;
///
/// let lexical = Lexical { buckets: 32_768, max_words: 2, max_ids: 512, seed: 7 };
/// let ids = lexical.ids("How many apples are left?");
/// assert_eq!(ids.len(), 7 + 6 + 6); // shape tokens, words, pairs of words
/// assert!(ids.iter().all(|id| (1..=32_768).contains(id)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Lexical {
    /// Number of hash buckets; ids run from 1 to `buckets`, 0 is padding.
    pub buckets: u32,
    /// Longest n-gram in words.
    pub max_words: u8,
    /// Most ids of one text.
    pub max_ids: u32,
    /// Seed of the hash.
    pub seed: u64,
}

impl Lexical {
    /// Returns the ids of `text`: unique, in 1..=`buckets`, at most `max_ids`; the same for the same text everywhere.
    ///
    /// An empty text has only its shape tokens. Without buckets there are no ids.
    pub fn ids(&self, text: &str) -> Vec<i64> {
        let prefix = prefix(text);
        let n_words = prefix.len().min(MAX_WORDS);
        let mut ids = Ids::new(self, shape::TOKENS + n_words * usize::from(self.max_words));
        for token in shape::tokens(text.len(), prefix) {
            ids.push_shape(token);
        }
        let mut before = Vec::with_capacity(n_words + 1);
        before.push(START);
        for word in Words::new(prefix).take(MAX_WORDS) {
            push_grams(&mut ids, self.max_words, &before, word);
            before.push(word);
        }
        ids.into_vec()
    }

    /// Returns the id of shape token `token` (0 to 6, as in rule 5) with this value; training smooths over neighbouring
    /// values.
    ///
    /// ```
    /// use personaroute_bundle::lexical::Lexical;
    ///
    /// let lexical = Lexical { buckets: 32_768, max_words: 2, max_ids: 512, seed: 7 };
    /// // Twelve bytes, 1100 in binary: four bits, and those below the leading one are 100.
    /// assert_eq!(lexical.ids("What is 3*4?")[0], lexical.shape_id(0, 8 * 4 + 4));
    /// ```
    pub fn shape_id(&self, token: u64, value: u64) -> i64 {
        i64::from(shape::id(u64::from(self.buckets), 256 * token + value))
    }
}

/// Adds `word` and every n-gram that ends with it.
fn push_grams(ids: &mut Ids, max_words: u8, before: &[u64], word: u64) {
    if max_words == 0 {
        return;
    }
    ids.push(1, word);
    let mut hash = word;
    for (n, earlier) in (2..=u64::from(max_words)).zip(before.iter().rev()) {
        hash = mix(hash) ^ earlier;
        ids.push(n, hash);
    }
}

/// Returns the part of `text` that is read.
fn prefix(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or(text)
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
