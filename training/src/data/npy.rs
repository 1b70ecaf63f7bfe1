//! Reads `.npy` arrays of half, single or double precision as single precision, and writes single precision.

use std::io::Read;
use std::path::Path;

use ndarray::{Array2, ArrayD, Axis, Ix1, Ix2};
use ndarray_npy::{ReadDataError, ReadNpyError, ReadNpyExt, ReadableElement};
use py_literal::Value as Descriptor;

use super::error::DataError;
use super::{dtype, open};

/// A number of any of the types that embeddings come in.
///
/// `ndarray-npy` knows no half precision, and reads into the very type that the file names.
#[derive(Debug, Clone, Copy)]
struct Single(f32);

impl ReadableElement for Single {
    fn read_to_end_exact_vec<R: Read>(
        mut reader: R,
        descriptor: &Descriptor,
        length: usize,
    ) -> Result<Vec<Self>, ReadDataError> {
        let wrong = || ReadDataError::WrongDescriptor(descriptor.clone());
        let Descriptor::String(code) = descriptor else { return Err(wrong()) };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let numbers = dtype::numbers(code, &bytes).ok_or_else(wrong)?;
        match numbers.len() == length {
            true => Ok(numbers.into_iter().map(Self).collect()),
            false => {
                let message = format!("{} numbers, where the shape has {length}", numbers.len());
                Err(ReadDataError::ParseData(message.into()))
            }
        }
    }
}

/// Reads an array; one dimension becomes one row.
pub fn read(file: &Path) -> Result<Array2<f32>, DataError> {
    let array = ArrayD::<Single>::read_npy(open::bytes(file)?.as_slice()).map_err(|error| refused(file, error))?;
    let single = array.mapv(|number| number.0);
    let shape = format!("{:?}", single.shape());
    let rows = match single.ndim() {
        1 => single.into_dimensionality::<Ix1>().map(|row| row.insert_axis(Axis(0))),
        _ => single.into_dimensionality::<Ix2>(),
    };
    // Rows are contiguous everywhere else, so an array in Fortran order is turned.
    let rows = rows.map(|rows| rows.as_standard_layout().into_owned());
    rows.map_err(|_| DataError::format(file, "a shape of one or two dimensions", shape))
}

/// Writes a two-dimensional single-precision array.
pub fn write(file: &Path, array: &Array2<f32>) -> Result<(), DataError> {
    ndarray_npy::write_npy(file, array).map_err(|error| DataError::write(file, std::io::Error::other(error)))
}

fn refused(file: &Path, error: ReadNpyError) -> DataError {
    match error {
        ReadNpyError::WrongDescriptor(found) => {
            DataError::format(file, "numbers of type <f2, <f4 or <f8", found.to_string())
        }
        ReadNpyError::ParseData(found) => {
            DataError::format(file, "as many numbers as the shape says", found.to_string())
        }
        // The bytes are in memory, so an I/O error is the end of the file.
        other @ (ReadNpyError::Io(_)
        | ReadNpyError::ParseHeader(_)
        | ReadNpyError::LengthOverflow
        | ReadNpyError::WrongNdim(..)
        | ReadNpyError::MissingData
        | ReadNpyError::ExtraBytes(_)) => DataError::format(file, "a .npy file", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use ndarray::array;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.npy");
        std::fs::write(&file, content).unwrap();
        (folder, file)
    }

    /// A file as numpy writes it: version 1, a header padded to 64 bytes.
    fn written(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        [b"\x93NUMPY\x01\x00", &[118, 0][..], header.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_folder, file) = file(b"");
        let values = array![[1.0, -2.5, 3.0], [0.0, 1e-9, 7.0]];
        write(&file, &values).unwrap();
        assert_eq!(read(&file).unwrap(), values);
    }

    #[test]
    fn types_orders_and_shapes_of_numpy_are_read() {
        let halves: Vec<u8> = [0.5, -2.0].into_iter().flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
        let doubles: Vec<u8> = [1.0, 2.0, 3.0, 4.0_f64].into_iter().flat_map(f64::to_le_bytes).collect();
        let (_folder, path) = file(&written("<f2", "False", "(2,)", &halves));
        assert_eq!(read(&path).unwrap(), array![[0.5, -2.0]]);
        let (_folder, path) = file(&written("<f8", "True", "(2, 2)", &doubles));
        assert_eq!(read(&path).unwrap(), array![[1.0, 3.0], [2.0, 4.0]]);
    }

    #[test]
    fn damaged_and_other_files_are_refused() {
        let error = |content: &[u8]| {
            let (_folder, path) = file(content);
            read(&path).unwrap_err().to_string().split_once("x.npy: ").unwrap().1.to_owned()
        };
        let singles = [0_u8; 12];
        let cut = error(&written("<f4", "False", "(2, 2)", &singles));
        assert_eq!(cut, "expected as many numbers as the shape says, found 3 numbers, where the shape has 4");
        let whole = error(&written("<i8", "False", "(1,)", &[0; 8]));
        assert_eq!(whole, "expected numbers of type <f2, <f4 or <f8, found '<i8'");
        let deep = error(&written("<f4", "False", "(1, 1, 3)", &singles));
        assert_eq!(deep, "expected a shape of one or two dimensions, found [1, 1, 3]");
        assert!(error(b"PK\x03\x04").starts_with("expected a .npy file, found "));
        // A shape larger than the file must not be believed.
        let huge = error(&written("<f4", "False", "(4000000000, 1000000)", &singles));
        assert!(huge.starts_with("expected as many numbers as the shape says"), "{huge}");
    }
}
