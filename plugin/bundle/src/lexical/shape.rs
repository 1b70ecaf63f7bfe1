//! Shape tokens: seven numbers that describe the surface of a text, independent of its words.

/// Number of shape tokens of any text.
pub(super) const TOKENS: usize = 7;

/// Bits of one packed count; `MAX_BYTES` fits.
const BITS: u32 = 12;

/// What each byte adds to the packed counts: counting a text takes one look-up and one addition per byte.
const CLASS_COUNTS: [u64; 256] = class_counts();

/// Classes of bytes, in the order of their packed counts.
const LINE_BREAK: u32 = 0;
const DIGIT: u32 = 1;
const PUNCTUATION: u32 = 2;
const CAPITAL: u32 = 3;
const NON_ASCII: u32 = 4;

/// Returns the shape of a text of `n_bytes` bytes that begins with `prefix`.
pub(super) fn tokens(n_bytes: usize, prefix: &str) -> [u64; TOKENS] {
    let counts: u64 = prefix.bytes().map(|byte| CLASS_COUNTS.get(usize::from(byte)).copied().unwrap_or(0)).sum();
    let count = |class: u32| (counts >> (class * BITS)) & ((1 << BITS) - 1);
    let share = |class: u32| match count(class) {
        0 => 0,
        some => 1 + (16 * some / prefix.len() as u64).min(7),
    };
    let values = [
        eighth_octaves(n_bytes as u64),
        bits(count(LINE_BREAK)),
        share(DIGIT),
        share(PUNCTUATION),
        share(CAPITAL),
        share(NON_ASCII),
        ending(prefix),
    ];
    let mut kind = 0;
    values.map(|value| {
        let token = 256 * kind + value;
        kind += 1;
        token
    })
}

/// Returns the id of a token, `256·k + value`.
pub(super) fn id(buckets: u64, token: u64) -> u32 {
    let before: u64 = super::LARGEST_SHAPES.iter().zip(0..token / 256).map(|(largest, _)| largest + 1).sum();
    #[expect(clippy::cast_possible_truncation, reason = "invariant: at most `buckets`, which is a u32")]
    let id = (1 + (before + token % 256) % buckets.max(1)) as u32;
    id
}

/// Number of bits of `n`, 0 for 0.
fn bits(n: u64) -> u64 {
    u64::from(u64::BITS - n.leading_zeros())
}

/// A logarithmic scale with eight steps per doubling; the last one is for two gigabytes and more.
fn eighth_octaves(n: u64) -> u64 {
    let [longest, ..] = super::LARGEST_SHAPES;
    let bits = bits(n);
    let below_leading = if bits == 0 || bits > 60 { 0 } else { ((n << 3) >> (bits - 1)) & 7 };
    (8 * bits + below_leading).min(longest)
}

/// Classifies the last character of the text that is not whitespace.
fn ending(text: &str) -> u64 {
    match text.trim_end().chars().next_back() {
        None => 0,
        Some(c) if c.is_ascii_punctuation() => u64::from(c),
        Some(c) if c.is_ascii_digit() => 1,
        Some(c) if c.is_alphanumeric() => 2,
        Some(_) => 3,
    }
}

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "invariant: `byte` runs from 0 to 255")]
const fn class_counts() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < table.len() {
        let class = match byte as u8 {
            b'\n' => Some(LINE_BREAK),
            b'0'..=b'9' => Some(DIGIT),
            b'A'..=b'Z' => Some(CAPITAL),
            128.. => Some(NON_ASCII),
            ascii if ascii.is_ascii_punctuation() => Some(PUNCTUATION),
            _ => None,
        };
        if let Some(class) = class {
            table[byte] = 1 << (class * BITS);
        }
        byte += 1;
    }
    table
}
