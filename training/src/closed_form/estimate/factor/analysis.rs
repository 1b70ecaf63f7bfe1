//! Factor analysis of the residuals of users' ratings, where every user rated other answers.

use tch::{Device, Kind, Tensor};

use crate::closed_form::constants::{CHUNK, MAX_FACTORS};
use crate::closed_form::estimate::ratings::Ratings;

/// Ratings minus what the components without factors predict, in units of the ratings.
#[derive(Debug)]
pub struct Residuals {
    /// `[ratings]`: change per unit of the user's preference score.
    pub slope: Tensor,
    /// `[ratings]`: rating minus prediction.
    pub error: Tensor,
    /// `[ratings]`: inverse of the prediction's and the noise's variance, up to a common scale.
    pub weight: Tensor,
}

/// Loadings and user factors, in units of the ratings.
#[derive(Debug)]
pub struct FactorFit {
    /// `[llms, factors]`.
    pub loadings: Tensor,
    /// `[users, factors]`.
    pub user_factors: Tensor,
    /// `[users]`: corrections of the preference scores.
    pub correction: Tensor,
    /// Scale of the variances.
    pub(super) scale: f64,
}

/// Sufficient statistics: weighted sums of the residuals by user, and by user and LLM.
#[derive(Debug)]
pub(super) struct Statistics {
    weight: Tensor,
    slope: Tensor,
    error: Tensor,
    /// `[users]`: of squared slopes, slopes times errors, squared errors, and the number of ratings.
    pub(super) sums: [Tensor; 4],
}

/// Gaussian posteriors of the score's correction and the factors, by user.
#[derive(Debug)]
pub(super) struct FactorPosterior {
    /// `[users, 1 + factors]`.
    pub(super) mean: Tensor,
    /// `[users, 1 + factors, 1 + factors]`.
    pub(super) covariance: Tensor,
    information: Tensor,
    pull: Tensor,
}

impl FactorFit {
    /// Returns what the factors add to each rating.
    pub fn of_ratings(&self, ratings: &Ratings) -> Tensor {
        self.user_factors.matmul(&self.loadings.tr()).view([-1]).index_select(0, &ratings.user_llm())
    }
}

impl Statistics {
    pub(super) fn of(ratings: &Ratings, residuals: &Residuals) -> Self {
        let Residuals { slope, error, weight } = residuals;
        let (slopes, errors) = (weight * slope, weight * error);
        Self {
            weight: ratings.by_user_llm(weight),
            slope: ratings.by_user_llm(&slopes),
            error: ratings.by_user_llm(&errors),
            sums: [
                ratings.by_user(&(&slopes * slope)),
                ratings.by_user(&(&slopes * error)),
                ratings.by_user(&(&errors * error)),
                ratings.ratings(),
            ],
        }
    }

    pub(super) fn pick(&self, users: &Tensor) -> Self {
        let pick = |table: &Tensor| table.index_select(0, users);
        Self {
            weight: pick(&self.weight),
            slope: pick(&self.slope),
            error: pick(&self.error),
            sums: self.sums.each_ref().map(pick),
        }
    }

    /// Returns the mean of weighted squared errors.
    pub(super) fn scale(&self) -> f64 {
        let [_, _, square, count] = &self.sums;
        total(square) / total(count).max(1.0)
    }

    /// Returns initial loadings: the principal components of the users' mean errors, minus the variance that chance adds; none
    /// where nothing is left.
    pub(super) fn initial_loadings(&self) -> Option<Tensor> {
        let llms = self.weight.size().last().copied().unwrap_or(0);
        let mean = &self.error / self.weight.clamp_min(1e-12);
        let chance = self.weight.clamp_min(1e-12).reciprocal() * self.scale();
        let variance = mean.square().mean(Kind::Double);
        // A mean of few ratings is shrunk by its share of chance.
        let share = &variance / (&variance + chance) * self.weight.gt(0.0).to_kind(Kind::Double);
        let mean = mean * share.sqrt();
        let users = mean.size().first().copied().unwrap_or(1).max(1) as f64;
        let moments = mean.tr().matmul(&mean) / users + Tensor::eye(llms, (Kind::Double, mean.device())) * 1e-6;
        let loadings = canonical(&moments, MAX_FACTORS.min(llms));
        (loadings.numel() > 0).then_some(loadings)
    }

    pub(super) fn posterior(&self, loadings: &Tensor, scale: f64, correction: f64) -> FactorPosterior {
        let (llms, factors) = loadings.size2().unwrap_or((0, 0));
        let outer = (loadings.unsqueeze(2) * loadings.unsqueeze(1)).view([llms, factors * factors]);
        let of_factors = self.weight.matmul(&outer).view([-1, factors, factors]);
        let both = self.slope.matmul(loadings); // [U, K]
        let [square, pull, ..] = &self.sums;
        let top = Tensor::cat(&[square.view([-1, 1, 1]), both.unsqueeze(1)], 2);
        let bottom = Tensor::cat(&[both.unsqueeze(2), of_factors], 2);
        let information = Tensor::cat(&[top, bottom], 1) / scale;
        let pull = Tensor::cat(&[pull.unsqueeze(1), self.error.matmul(loadings)], 1) / scale;
        let prior = Tensor::ones([1 + factors], (Kind::Double, self.weight.device()));
        let _ = prior.get(0).fill_(correction.powi(-2));
        let covariance = inverse(&(&information + prior.diag_embed(0, -2, -1)));
        let mean = covariance.matmul(&pull.unsqueeze(2)).squeeze_dim(2);
        FactorPosterior { mean, covariance, information: information * scale, pull: pull * scale }
    }

    /// Returns the mean of weighted squared errors that the posterior leaves.
    pub(super) fn variance_left(&self, posterior: &FactorPosterior) -> f64 {
        let [_, _, square, count] = &self.sums;
        let explained = (&posterior.mean * &posterior.pull).sum(Kind::Double) * 2.0;
        let again = (&posterior.information * posterior.moments()).sum(Kind::Double);
        let left = total(square) - explained.double_value(&[]) + again.double_value(&[]);
        (left / total(count).max(1.0)).max(1e-9)
    }

    /// Maximisation: returns the loadings that maximise the expected likelihood, with parameter expansion.
    pub(super) fn maximise(&self, loadings: &Tensor, posterior: &FactorPosterior) -> Tensor {
        let (llms, factors) = loadings.size2().unwrap_or((0, 0));
        let moments = posterior.moments();
        let factor_moments = moments.narrow(1, 1, factors).narrow(2, 1, factors);
        let with_correction = moments.select(1, 0).narrow(1, 1, factors); // [U, K]
        let square =
            self.weight.tr().matmul(&factor_moments.reshape([-1, factors * factors])).view([llms, factors, factors]);
        let pull =
            self.error.tr().matmul(&posterior.mean.narrow(1, 1, factors)) - self.slope.tr().matmul(&with_correction);
        let unit = Tensor::eye(factors, (Kind::Double, loadings.device()));
        let least = square.diagonal(0, 1, 2).mean(Kind::Double) * 1e-9 + 1e-12;
        let next = inverse(&(square + &unit * least)).matmul(&pull.unsqueeze(2)).squeeze_dim(2);
        // A factor has variance 1 over the population by convention; the loadings take its scale.
        let spread = factor_moments.mean_dim([0].as_slice(), false, Kind::Double) + unit * 1e-9;
        next.matmul(&spread.linalg_cholesky_ex(false, false).0)
    }

    /// Returns the posterior means of all users.
    pub(super) fn estimate_users(&self, loadings: Tensor, scale: f64, correction: f64) -> FactorFit {
        let (users, factors) = (self.weight.size().first().copied().unwrap_or(0), loadings.size().last().copied());
        let step = (CHUNK / (1 + factors.unwrap_or(0)).pow(2)).max(1);
        let mut means = Vec::new();
        let mut begin = 0;
        while begin < users {
            let rows = Tensor::arange_start(begin, users.min(begin + step), (Kind::Int64, loadings.device()));
            means.push(self.pick(&rows).posterior(&loadings, scale, correction).mean);
            begin += step;
        }
        let mean = Tensor::cat(&means, 0);
        let correction = mean.select(1, 0);
        FactorFit { user_factors: mean.narrow(1, 1, factors.unwrap_or(0)).contiguous(), loadings, correction, scale }
    }
}

impl FactorPosterior {
    /// Returns second moments.
    fn moments(&self) -> Tensor {
        &self.covariance + self.mean.unsqueeze(2) * self.mean.unsqueeze(1)
    }
}

fn inverse(matrices: &Tensor) -> Tensor {
    Tensor::linalg_inv_ex(matrices, false).0
}

fn total(column: &Tensor) -> f64 {
    column.sum(Kind::Double).double_value(&[])
}

/// Returns loadings `[llms, most]` of this covariance, the largest component first.
pub(super) fn canonical(covariance: &Tensor, most: i64) -> Tensor {
    let device = covariance.device();
    let (values, vectors) = covariance.to_device(Device::Cpu).linalg_eigh("L");
    let (values, vectors) = (values.flip([0]).clamp_min(0.0), vectors.flip([1]));
    (vectors * values.sqrt()).narrow(1, 0, most).to_device(device)
}
