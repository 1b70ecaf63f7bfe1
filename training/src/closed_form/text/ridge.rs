//! Ridge regression in its dual form, with leave-one-out predictions.

use tch::{Device, Kind, Tensor};

/// An inverted kernel `(K + λI)⁻¹`.
#[derive(Debug)]
pub struct Ridge {
    inverse: Tensor,
}

impl Ridge {
    /// Inverts `kernel + penalty · I`.
    pub fn new(kernel: &Tensor, penalty: f64) -> Self {
        let rows = kernel.size().first().copied().unwrap_or(0);
        let shifted = kernel + Tensor::eye(rows, (Kind::Float, Device::Cpu)) * penalty;
        Self { inverse: shifted.linalg_cholesky(false).cholesky_inverse(false) }
    }

    /// Returns the solution of targets `[queries, columns]`.
    pub fn solve(&self, targets: &Tensor) -> Tensor {
        self.inverse.matmul(targets)
    }

    /// Returns the prediction of each query's target from all the others, without a second fit.
    pub fn left_out(&self, targets: &Tensor, solution: &Tensor) -> Tensor {
        targets - solution / self.inverse.diagonal(0, 0, 1).unsqueeze(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_out_prediction_is_that_of_a_fit_without_the_query() {
        let x = Tensor::from_slice(&[1.0_f32, 0.0, 0.5, 0.2, 1.0, 0.1, 0.3, 0.3, 0.9, 0.4, 0.4, 0.4]).view([4, 3]);
        let kernel = x.matmul(&x.tr());
        let targets = Tensor::from_slice(&[1.0_f32, -0.5, 0.7, 0.1]).unsqueeze(1);
        let ridge = Ridge::new(&kernel, 0.5);
        let left_out = ridge.left_out(&targets, &ridge.solve(&targets));
        let others = Tensor::from_slice(&[1_i64, 2, 3]);
        let part = kernel.index_select(0, &others).index_select(1, &others);
        let solution = Ridge::new(&part, 0.5).solve(&targets.index_select(0, &others));
        let predicted = kernel.get(0).index_select(0, &others).dot(&solution.squeeze_dim(1));
        assert!((predicted.double_value(&[]) - left_out.double_value(&[0, 0])).abs() < 1e-5);
    }
}
