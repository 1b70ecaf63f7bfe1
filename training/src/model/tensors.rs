//! Arrays to tensors and back.

use anyhow::{Context, Result};
use ndarray::{Array2, Array3};
use tch::{Device, Kind, Tensor};

/// Returns a tensor of the array's shape.
pub fn from2(array: &Array2<f32>, device: Device) -> Tensor {
    let (rows, columns) = array.dim();
    let flat: Vec<f32> = array.iter().copied().collect();
    Tensor::from_slice(&flat).view([rows as i64, columns as i64]).to_device(device)
}

/// Returns a tensor of rows that all have `columns` elements.
pub fn from_rows(rows: &[Vec<f32>], columns: usize) -> Tensor {
    let flat: Vec<f32> = rows.iter().flatten().copied().collect();
    Tensor::from_slice(&flat).view([rows.len() as i64, columns as i64])
}

/// Returns the elements, row-major.
pub fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut out = vec![0.0_f32; flat.numel()];
    let count = out.len();
    flat.copy_data(&mut out, count);
    out
}

/// Returns the rows of a matrix.
pub fn to_rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    let columns = tensor.size().last().copied().unwrap_or(1).max(1);
    to_vec(tensor).chunks(extent(columns)).map(<[f32]>::to_vec).collect()
}

/// Returns a three-dimensional array.
pub fn to_array3(tensor: &Tensor) -> Result<Array3<f32>> {
    let (a, b, c) = tensor.size3().context("shape")?;
    Array3::from_shape_vec((extent(a), extent(b), extent(c)), to_vec(tensor)).context("array")
}

/// Returns an extent as a number of elements; libtorch's extents are never negative.
pub fn extent(size: i64) -> usize {
    usize::try_from(size).unwrap_or(0)
}

/// Returns rows and columns of a matrix; an empty one for anything else.
pub fn extents(tensor: &Tensor) -> (usize, usize) {
    tensor.size2().map_or((0, 0), |(rows, columns)| (extent(rows), extent(columns)))
}

/// Returns the nearest 32-bit float: what is stored and learned is no more precise.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
pub fn single(x: f64) -> f32 {
    x as f32
}

/// Rounds every element to the nearest 16-bit float, so that a table stored in that precision is exactly this one.
pub fn rounded(tensor: &Tensor) -> Tensor {
    tensor.to_kind(Kind::Half).to_kind(Kind::Float)
}
