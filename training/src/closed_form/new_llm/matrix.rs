//! Matrices of two rows and two columns.

/// Two numbers: of the effect, then of the cost coefficient.
pub type Pair = [f64; 2];

/// A matrix, by rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix2([Pair; 2]);

impl Matrix2 {
    /// All zero.
    pub const ZERO: Self = Self([[0.0; 2]; 2]);

    /// Returns a diagonal matrix.
    pub fn diagonal([a, d]: Pair) -> Self {
        Self([[a, 0.0], [0.0, d]])
    }

    /// Returns `v · vᵀ`.
    pub fn outer([x, y]: Pair) -> Self {
        Self([[x * x, x * y], [x * y, y * y]])
    }

    /// Returns the sum.
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    /// Returns the difference.
    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    /// Returns a multiple.
    pub fn scaled(&self, by: f64) -> Self {
        self.with(self, |a, _| a * by)
    }

    /// Returns the matrix product.
    pub fn product(&self, other: &Self) -> Self {
        let Self([[a, b], [c, d]]) = *self;
        let Self([[e, f], [g, h]]) = *other;
        Self([[a * e + b * g, a * f + b * h], [c * e + d * g, c * f + d * h]])
    }

    /// Returns the product with a vector.
    pub fn times(&self, [x, y]: Pair) -> Pair {
        let Self([[a, b], [c, d]]) = *self;
        [a * x + b * y, c * x + d * y]
    }

    /// Returns the transposed matrix.
    pub fn transposed(&self) -> Self {
        let Self([[a, b], [c, d]]) = *self;
        Self([[a, c], [b, d]])
    }

    /// Returns the inverse; that of a matrix without one is huge, not infinite.
    pub fn inverse(&self) -> Self {
        let Self([[a, b], [c, d]]) = *self;
        let determinant = a * d - b * c;
        let least = 1e-300_f64;
        let determinant = if determinant.abs() < least { least } else { determinant };
        Self([[d / determinant, -b / determinant], [-c / determinant, a / determinant]])
    }

    /// Returns `vᵀ · M · v`.
    pub fn form(&self, [x, y]: Pair) -> f64 {
        let [a, b] = self.times([x, y]);
        x * a + y * b
    }

    /// Returns the upper left element.
    pub fn first(&self) -> f64 {
        let Self([[a, _], _]) = *self;
        a
    }

    fn with(&self, other: &Self, op: impl Fn(f64, f64) -> f64) -> Self {
        let Self([[a, b], [c, d]]) = *self;
        let Self([[e, f], [g, h]]) = *other;
        Self([[op(a, e), op(b, f)], [op(c, g), op(d, h)]])
    }
}
