//! Reads `.npy` arrays of numbers (`<f2`, `<f4`, `<f8`, C order, one or two dimensions) and writes `<f4`.

use std::path::Path;

use half::f16;
use ndarray::Array2;

use super::error::DataError;
use super::open;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array; one dimension becomes one row.
pub fn read(file: &Path) -> Result<Array2<f32>, DataError> {
    parse(&open::bytes(file)?).map_err(|(expected, found)| DataError::format(file, expected, found))
}

/// Writes a two-dimensional single-precision array.
pub fn write(file: &Path, array: &Array2<f32>) -> Result<(), DataError> {
    let (rows, columns) = array.dim();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // The format wants the data to begin at a multiple of 64.
    let padded = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 5;
    header.push_str(&" ".repeat(padded - header.len()));
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut bytes = [MAGIC, &[1, 0], &length, header.as_bytes()].concat();
    bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(file, bytes).map_err(|source| DataError::write(file, source))
}

/// Converts little-endian numbers of a numpy type to single precision.
#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
pub(crate) fn numbers(descr: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    let chunks = |size| bytes.chunks_exact(size);
    let half = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, |bytes| f16::from_le_bytes(bytes).to_f32());
    let single = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, f32::from_le_bytes);
    let double = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, |bytes| f64::from_le_bytes(bytes) as f32);
    match descr.trim_start_matches(['<', '=']) {
        "f2" => Some(chunks(2).map(half).collect()),
        "f4" => Some(chunks(4).map(single).collect()),
        "f8" => Some(chunks(8).map(double).collect()),
        _ => None,
    }
}

type Fault = (String, String);

fn parse(bytes: &[u8]) -> Result<Array2<f32>, Fault> {
    let fault = |expected: &str, found: &str| (expected.to_owned(), found.to_owned());
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| fault("a .npy file", "other bytes"))?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(fault("version 1 to 3 of the .npy format", "another version")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| fault("a whole header", "the end of the file"))?;
    let header = String::from_utf8_lossy(header);
    if entry(&header, "fortran_order").is_none_or(|order| !order.starts_with("False")) {
        return Err(fault("'fortran_order': False", &header));
    }
    let (rows, columns) = shape(&header).ok_or_else(|| fault("a shape of one or two dimensions", &header))?;
    let descr = entry(&header, "descr").map(|descr| descr.trim_matches('\''));
    let values = descr.and_then(|descr| numbers(descr, data));
    let values = values.ok_or_else(|| fault("'descr' '<f2', '<f4' or '<f8'", &header))?;
    let found = format!("{} numbers", values.len());
    Array2::from_shape_vec((rows, columns), values).map_err(|_| (format!("{rows} x {columns} numbers"), found))
}

/// Returns the text of a header entry up to the next comma outside brackets.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('(') { rest.find(')')? + 1 } else { rest.find([',', '}'])? };
    rest.get(..end).map(str::trim)
}

fn shape(header: &str) -> Option<(usize, usize)> {
    let inner = entry(header, "shape")?.trim_matches(['(', ')']);
    let sizes: Vec<usize> = inner
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    match sizes.as_slice() {
        [columns] => Some((1, *columns)),
        [rows, columns] => Some((*rows, *columns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.npy");
        let values = array![[1.0, -2.5, 3.0], [0.0, 1e-9, 7.0]];
        write(&file, &values).unwrap();
        assert_eq!(read(&file).unwrap(), values);
        assert_eq!(std::fs::read(&file).unwrap().len() % 64, 24);
    }

    #[test]
    fn a_cut_file_is_refused_with_both_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.npy");
        write(&file, &array![[1.0, -2.5], [0.0, 7.0]]).unwrap();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 4]).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.ends_with("expected 2 x 2 numbers, found 3 numbers"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let error = parse(b"PK\x03\x04").unwrap_err();
        assert_eq!(error.0, "a .npy file");
    }
}
