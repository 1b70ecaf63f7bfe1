//! Factor analysis of what users' ratings leave open, where every user rated other answers.

use tch::{Device, Kind, Tensor};

use crate::closed_form::estimate::ratings::Observed;

/// Most tastes: what a user's embedding holds beside the position.
const MOST: i64 = 16;
/// Standard deviation of what is left open of a position.
pub(super) const DRIFT: f64 = 0.3;
/// Elements worked on at once: bounds the memory.
pub(super) const CHUNK: i64 = 4_000_000;

/// Ratings against what is known without tastes, in units of the ratings.
#[derive(Debug)]
pub struct Evidence {
    /// `[ratings]`: change per unit of the user's position.
    pub slope: Tensor,
    /// `[ratings]`: rating minus expectation.
    pub error: Tensor,
    /// `[ratings]`: inverse of the expectation's and the noise's variance, up to a common factor.
    pub weight: Tensor,
}

/// Tastes, in units of the ratings.
#[derive(Debug)]
pub struct Found {
    /// `[llms, tastes]`.
    pub loadings: Tensor,
    /// `[users, tastes]`.
    pub coordinates: Tensor,
    /// `[users]`: what is to be added to positions.
    pub shift: Tensor,
    /// Factor of the variances.
    pub(super) scale: f64,
}

/// Weighted sums of the evidence by user, and by user and LLM.
#[derive(Debug)]
pub(super) struct Told {
    weight: Tensor,
    slope: Tensor,
    error: Tensor,
    /// `[users]`: of squared slopes, slopes times errors, squared errors, and the number of ratings.
    pub(super) sums: [Tensor; 4],
}

/// Gaussian posteriors of `(δ, f)`.
#[derive(Debug)]
pub(super) struct Posterior {
    /// `[users, 1 + tastes]`.
    pub(super) mean: Tensor,
    /// `[users, 1 + tastes, 1 + tastes]`.
    pub(super) covariance: Tensor,
    information: Tensor,
    pull: Tensor,
}

impl Found {
    /// Returns what tastes add to each rating.
    pub fn of_ratings(&self, observed: &Observed) -> Tensor {
        self.coordinates.matmul(&self.loadings.tr()).view([-1]).index_select(0, &observed.user_llm())
    }
}

impl Told {
    pub(super) fn of(observed: &Observed, evidence: &Evidence) -> Self {
        let Evidence { slope, error, weight } = evidence;
        let (slopes, errors) = (weight * slope, weight * error);
        Self {
            weight: observed.by_user_llm(weight),
            slope: observed.by_user_llm(&slopes),
            error: observed.by_user_llm(&errors),
            sums: [
                observed.by_user(&(&slopes * slope)),
                observed.by_user(&(&slopes * error)),
                observed.by_user(&(&errors * error)),
                observed.ratings(),
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

    /// Mean of weighted squared errors.
    pub(super) fn scale(&self) -> f64 {
        let [_, _, square, count] = &self.sums;
        total(square) / total(count).max(1.0)
    }

    /// Loadings by the main directions of the users' mean errors, what chance adds taken off; none where nothing is left.
    pub(super) fn first_guess(&self) -> Option<Tensor> {
        let llms = self.weight.size().last().copied().unwrap_or(0);
        let mean = &self.error / self.weight.clamp_min(1e-12);
        let chance = self.weight.clamp_min(1e-12).reciprocal() * self.scale();
        let variance = mean.square().mean(Kind::Double);
        // A pair that was hardly rated counts by what it may say.
        let share = &variance / (&variance + chance) * self.weight.gt(0.0).to_kind(Kind::Double);
        let mean = mean * share.sqrt();
        let users = mean.size().first().copied().unwrap_or(1).max(1) as f64;
        let moments = mean.tr().matmul(&mean) / users + Tensor::eye(llms, (Kind::Double, mean.device())) * 1e-6;
        let loadings = canonical(&moments, MOST.min(llms));
        (loadings.numel() > 0).then_some(loadings)
    }

    pub(super) fn posterior(&self, loadings: &Tensor, scale: f64, drift: f64) -> Posterior {
        let (llms, tastes) = loadings.size2().unwrap_or((0, 0));
        let outer = (loadings.unsqueeze(2) * loadings.unsqueeze(1)).view([llms, tastes * tastes]);
        let tastes_alone = self.weight.matmul(&outer).view([-1, tastes, tastes]);
        let both = self.slope.matmul(loadings); // [U, K]
        let [square, pull, ..] = &self.sums;
        let top = Tensor::cat(&[square.view([-1, 1, 1]), both.unsqueeze(1)], 2);
        let rest = Tensor::cat(&[both.unsqueeze(2), tastes_alone], 2);
        let information = Tensor::cat(&[top, rest], 1) / scale;
        let pull = Tensor::cat(&[pull.unsqueeze(1), self.error.matmul(loadings)], 1) / scale;
        let prior = Tensor::ones([1 + tastes], (Kind::Double, self.weight.device()));
        let _ = prior.get(0).fill_(drift.powi(-2));
        let covariance = inverse(&(&information + prior.diag_embed(0, -2, -1)));
        let mean = covariance.matmul(&pull.unsqueeze(2)).squeeze_dim(2);
        Posterior { mean, covariance, information: information * scale, pull: pull * scale }
    }

    /// Mean of weighted squared errors that the posterior leaves.
    pub(super) fn rest(&self, posterior: &Posterior) -> f64 {
        let [_, _, square, count] = &self.sums;
        let explained = (&posterior.mean * &posterior.pull).sum(Kind::Double) * 2.0;
        let again = (&posterior.information * posterior.moments()).sum(Kind::Double);
        let left = total(square) - explained.double_value(&[]) + again.double_value(&[]);
        (left / total(count).max(1.0)).max(1e-9)
    }

    /// Returns the loadings that the posteriors suggest.
    pub(super) fn maximise(&self, loadings: &Tensor, posterior: &Posterior) -> Tensor {
        let (llms, tastes) = loadings.size2().unwrap_or((0, 0));
        let moments = posterior.moments();
        let of_tastes = moments.narrow(1, 1, tastes).narrow(2, 1, tastes);
        let with_shift = moments.select(1, 0).narrow(1, 1, tastes); // [U, K]
        let square = self.weight.tr().matmul(&of_tastes.reshape([-1, tastes * tastes])).view([llms, tastes, tastes]);
        let pull = self.error.tr().matmul(&posterior.mean.narrow(1, 1, tastes)) - self.slope.tr().matmul(&with_shift);
        let unit = Tensor::eye(tastes, (Kind::Double, loadings.device()));
        let least = square.diagonal(0, 1, 2).mean(Kind::Double) * 1e-9 + 1e-12;
        let next = inverse(&(square + &unit * least)).matmul(&pull.unsqueeze(2)).squeeze_dim(2);
        // The population's spread of tastes is 1 by convention: what is found goes into the loadings.
        let spread = of_tastes.mean_dim([0].as_slice(), false, Kind::Double) + unit * 1e-9;
        next.matmul(&spread.linalg_cholesky_ex(false, false).0)
    }

    /// Places all users.
    pub(super) fn place(&self, loadings: Tensor, scale: f64, drift: f64) -> Found {
        let (users, tastes) = (self.weight.size().first().copied().unwrap_or(0), loadings.size().last().copied());
        let step = (CHUNK / (1 + tastes.unwrap_or(0)).pow(2)).max(1);
        let mut means = Vec::new();
        let mut begin = 0;
        while begin < users {
            let rows = Tensor::arange_start(begin, users.min(begin + step), (Kind::Int64, loadings.device()));
            means.push(self.pick(&rows).posterior(&loadings, scale, drift).mean);
            begin += step;
        }
        let mean = Tensor::cat(&means, 0);
        let shift = mean.select(1, 0);
        Found { coordinates: mean.narrow(1, 1, tastes.unwrap_or(0)).contiguous(), loadings, shift, scale }
    }
}

impl Posterior {
    /// Second moments.
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

/// Returns loadings `[llms, most]` of this covariance, the main direction first.
pub(super) fn canonical(covariance: &Tensor, most: i64) -> Tensor {
    let device = covariance.device();
    let (values, vectors) = covariance.to_device(Device::Cpu).linalg_eigh("L");
    let (values, vectors) = (values.flip([0]).clamp_min(0.0), vectors.flip([1]));
    (vectors * values.sqrt()).narrow(1, 0, most).to_device(device)
}
