//! Numbers of numpy's floating-point types, as single precision.

use half::f16;

/// Converts little-endian numbers of the type `code` (`<f2`, `f4` …); nothing for another type.
///
/// Bytes after the last whole number are left out.
#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
pub(crate) fn numbers(code: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    let chunks = |size| bytes.chunks_exact(size);
    let half = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, |bytes| f16::from_le_bytes(bytes).to_f32());
    let single = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, f32::from_le_bytes);
    let double = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, |bytes| f64::from_le_bytes(bytes) as f32);
    match code.trim_start_matches(['<', '=']) {
        "f2" => Some(chunks(2).map(half).collect()),
        "f4" => Some(chunks(4).map(single).collect()),
        "f8" => Some(chunks(8).map(double).collect()),
        _ => None,
    }
}
