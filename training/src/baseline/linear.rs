//! Solves the linear systems of the ridge baseline: Cholesky, in place.

use ndarray::{Array2, Axis};

/// Solves `a · x = b` for a symmetric positive definite `a`; nothing when it is not.
pub fn solve(mut a: Array2<f64>, mut b: Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    if a.ncols() != n || b.nrows() != n {
        return None;
    }
    for j in 0..n {
        let (_, mut rest) = a.view_mut().split_at(Axis(0), j);
        let row_j = rest.index_axis(Axis(0), 0).slice(ndarray::s![..j]).to_owned();
        let diagonal = *rest.get((0, j))? - row_j.dot(&row_j);
        if diagonal <= 0.0 || diagonal.is_nan() {
            return None;
        }
        let root = diagonal.sqrt();
        for mut row in rest.rows_mut() {
            let inner = row.slice(ndarray::s![..j]).dot(&row_j);
            let value = row.get_mut(j)?;
            *value = (*value - inner) / root;
        }
        *rest.get_mut((0, j))? = root;
    }
    for j in 0..n {
        let row = a.index_axis(Axis(0), j);
        let solved = row.slice(ndarray::s![..j]).dot(&b.slice(ndarray::s![..j, ..]));
        let scale = *row.get(j)?;
        b.index_axis_mut(Axis(0), j).zip_mut_with(&solved, |value, inner| *value = (*value - inner) / scale);
    }
    for j in (0..n).rev() {
        let column = a.index_axis(Axis(1), j);
        let solved = column.slice(ndarray::s![j + 1..]).dot(&b.slice(ndarray::s![j + 1.., ..]));
        let scale = *column.get(j)?;
        b.index_axis_mut(Axis(0), j).zip_mut_with(&solved, |value, inner| *value = (*value - inner) / scale);
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_small_system_is_solved() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let x = array![[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]];
        let solved = solve(a.clone(), a.dot(&x)).unwrap();
        assert!((&solved - &x).iter().all(|difference| difference.abs() < 1e-12), "{solved}");
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert_eq!(solve(array![[1.0, 2.0], [2.0, 1.0]], array![[1.0], [1.0]]), None);
    }
}
