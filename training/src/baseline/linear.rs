//! Solves the linear systems of the baselines, by libtorch's Cholesky decomposition.

use ndarray::Array2;
use tch::{Kind, Tensor};

/// Solves `a · x = b` for a symmetric positive definite `a`; nothing when it is not.
pub fn solve(a: &Array2<f64>, b: &Array2<f64>) -> Option<Array2<f64>> {
    let (lower, info) = tensor(a)?.linalg_cholesky_ex(false, false);
    if info.int64_value(&[]) != 0 {
        return None;
    }
    let solved = tensor(b)?.cholesky_solve(&lower, false);
    let flat: Vec<f64> = Vec::try_from(solved.to_kind(Kind::Double).contiguous().view([-1])).ok()?;
    Array2::from_shape_vec(b.dim(), flat).ok()
}

/// Returns a matrix as a tensor; nothing when a number is NaN.
fn tensor(array: &Array2<f64>) -> Option<Tensor> {
    let flat: Vec<f64> = array.iter().copied().collect();
    let known = flat.iter().all(|x| !x.is_nan());
    known.then(|| Tensor::from_slice(&flat).view([array.nrows() as i64, array.ncols() as i64]))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_small_system_is_solved() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let x = array![[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]];
        let solved = solve(&a, &a.dot(&x)).unwrap();
        assert!((&solved - &x).iter().all(|difference| difference.abs() < 1e-12), "{solved}");
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert_eq!(solve(&array![[1.0, 2.0], [2.0, 1.0]], &array![[1.0], [1.0]]), None);
        assert_eq!(solve(&array![[f64::NAN]], &array![[1.0]]), None);
    }
}
