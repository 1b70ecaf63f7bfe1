//! `users.safetensors`: one row per user.

use std::ops::Range;
use std::path::Path;

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorInfo};

use super::{Precision, UserRow};
use crate::error::{BundleError, Fields};
use crate::source::Content;

/// The rows in memory.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Content,
    len: usize,
    dim: usize,
    precision: Precision,
    /// The bytes of each tensor in the file.
    embedding: Range<usize>,
    preference: Range<usize>,
    interactions: Range<usize>,
    certainty: Range<usize>,
}

impl Rows {
    /// Checks the tensors of a file; only errors name `file`.
    pub(super) fn new(bytes: Content, file: &Path) -> Result<Self, BundleError> {
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| BundleError::syntax(file, error))?;
        let tensor = |name: &str| {
            metadata.info(name).ok_or_else(|| BundleError::field(file, name, "a tensor of this name", "none"))
        };
        let [embedding, preference, interactions, certainty] =
            ["embedding", "preference", "interactions", "certainty"].map(tensor);
        let (embedding, preference, interactions, certainty) = (embedding?, preference?, interactions?, certainty?);
        let Some((len, dim)) = embedding.shape.first().copied().zip(embedding.shape.get(1).copied()) else {
            return Err(BundleError::field(
                file,
                "embedding",
                "shape [users, dim]",
                format_args!("{:?}", embedding.shape),
            ));
        };
        let fields = Fields::of(file);
        check_shape(&fields, "embedding", &[len, dim], embedding)?;
        check_shape(&fields, "preference", &[len], preference)?;
        check_shape(&fields, "interactions", &[len], interactions)?;
        check_shape(&fields, "certainty", &[len], certainty)?;
        let precision =
            precision(embedding.dtype).ok_or_else(|| wrong_type(file, "embedding", "F16 or F32", embedding))?;
        for (name, tensor) in [("preference", preference), ("certainty", certainty)] {
            if tensor.dtype != Dtype::F32 {
                return Err(wrong_type(file, name, "F32", tensor));
            }
        }
        if !matches!(interactions.dtype, Dtype::I32 | Dtype::U32) {
            return Err(wrong_type(file, "interactions", "I32 or U32", interactions));
        }
        // `read_metadata` has checked that every tensor lies inside the file; offsets count from the header's end.
        let start = header + size_of::<u64>();
        let range = |tensor: &TensorInfo| start + tensor.data_offsets.0..start + tensor.data_offsets.1;
        let [embedding, preference, interactions, certainty] =
            [embedding, preference, interactions, certainty].map(range);
        Ok(Self { bytes, len, dim, precision, embedding, preference, interactions, certainty })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn row(&self, row: usize) -> Option<UserRow> {
        let embedding = self.item(&self.embedding, row, self.dim * self.precision.bytes())?;
        let preference = f32::from_le_bytes(*self.item(&self.preference, row, 4)?.as_array()?);
        // Only a damaged table has a negative number of interactions or a certainty outside its range; they are read as 0.
        let interactions = i32::from_le_bytes(*self.item(&self.interactions, row, 4)?.as_array()?);
        let certainty = f32::from_le_bytes(*self.item(&self.certainty, row, 4)?.as_array()?);
        Some(UserRow {
            embedding: match self.precision {
                Precision::F32 => embedding.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                Precision::F16 => {
                    embedding.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
                }
            },
            preference: Some(preference).filter(|preference| !preference.is_nan()),
            interactions: u32::try_from(interactions).unwrap_or(0),
            certainty: if (0.0..=1.0).contains(&certainty) { certainty } else { 0.0 },
        })
    }

    /// Returns the bytes of the `row`th item, `size` bytes each, of a tensor.
    fn item(&self, tensor: &Range<usize>, row: usize, size: usize) -> Option<&[u8]> {
        let start = row.checked_mul(size)?;
        self.bytes.get(tensor.clone())?.get(start..start.checked_add(size)?)
    }
}

fn check_shape(fields: &Fields<'_>, name: &str, expected: &[usize], tensor: &TensorInfo) -> Result<(), BundleError> {
    let found = format!("{:?}", tensor.shape);
    fields.check(name, tensor.shape == expected, format_args!("shape {expected:?}"), found)
}

fn precision(dtype: Dtype) -> Option<Precision> {
    if dtype == Dtype::F16 {
        Some(Precision::F16)
    } else if dtype == Dtype::F32 {
        Some(Precision::F32)
    } else {
        None
    }
}

fn wrong_type(file: &Path, name: &str, expected: &str, tensor: &TensorInfo) -> BundleError {
    BundleError::field(file, name, expected, format_args!("{:?}", tensor.dtype))
}
