//! What users think of LLMs beyond their position: a few factors, found by expectation and maximisation.
//!
//! A rating's error is `b·δ + λ_llm·f + noise`: `δ` moves the user along the line, `f ~ N(0, 1)` are the user's tastes, `λ`
//! what these make of an LLM. Everything a user rated adds to one Gaussian posterior of `(δ, f)`; loadings follow from all
//! users' posteriors (factor analysis, with parameter expansion: Liu, Rubin and Wu 1998). Factors of which ratings tell
//! next to nothing are dropped, and masked edges decide whether there are tastes at all: each rating against what the
//! user's others say of it, with tastes and without.

pub mod analysis;
mod validation;

use tch::{Kind, Tensor};

use crate::closed_form::estimate::ratings::Observed;

use analysis::{DRIFT, Evidence, Found, Told, canonical};
use validation::foretell;

/// Rounds of expectation and maximisation.
const ROUNDS: usize = 40;
/// Most users who are asked; more make loadings no better.
const ASKED: i64 = 2_000;
/// Fewest users from whom tastes are told from chance.
const FEWEST: usize = 20;
/// Share of a taste's variance that ratings must take away, on average, for it to stay.
const TOLD: f64 = 0.1;
/// Least root mean square of a taste's loadings, in units of the ratings.
const LEAST: f64 = 0.01;

/// Returns the tastes that the evidence bears out; none where masked ratings are foretold as well without.
pub fn learn(observed: &Observed, evidence: &Evidence) -> Option<Found> {
    let told = Told::of(observed, evidence);
    let asked = asked(&told.sums[3])?;
    let sample = told.pick(&asked);
    let mut loadings = sample.first_guess()?;
    let mut scale = sample.scale();
    for _ in 0..ROUNDS {
        let posterior = sample.posterior(&loadings, scale, DRIFT);
        scale = sample.rest(&posterior);
        loadings = sample.maximise(&loadings, &posterior);
    }
    let loadings = kept(&sample, &loadings, scale)?;
    if !foretell(observed, evidence, (&asked, &sample), (&loadings, scale)) {
        return None;
    }
    Some(told.place(loadings, scale, DRIFT))
}

/// Returns the same tastes of users who stand where they are.
pub fn settle(observed: &Observed, evidence: &Evidence, found: &Found) -> Found {
    Told::of(observed, evidence).place(found.loadings.shallow_clone(), found.scale, 1e-6)
}

/// Returns users who rated anything, evenly chosen where there are many; none where there are too few.
fn asked(ratings: &Tensor) -> Option<Tensor> {
    let seen = ratings.gt(0.0).nonzero().view([-1]);
    let count = seen.size().first().copied().unwrap_or(0);
    if seen.numel() < FEWEST {
        return None;
    }
    let kept = count.min(ASKED);
    let every = Tensor::from_slice(&(0..kept).map(|i| i * count / kept).collect::<Vec<i64>>());
    Some(seen.index_select(0, &every.to_device(seen.device())))
}

/// Returns the tastes that ratings say something about.
fn kept(sample: &Told, loadings: &Tensor, scale: f64) -> Option<Tensor> {
    let tastes = loadings.size().last().copied().unwrap_or(0);
    let loadings = canonical(&loadings.matmul(&loadings.tr()), tastes);
    let posterior = sample.posterior(&loadings, scale, DRIFT);
    let open = posterior.covariance.diagonal(0, 1, 2).mean_dim(0, false, Kind::Double).narrow(0, 1, tastes);
    let told: Tensor = 1.0 - open;
    let size = loadings.square().mean_dim(0, false, Kind::Double).sqrt();
    let stays = told.ge(TOLD).logical_and(&size.ge(LEAST)).nonzero().view([-1]);
    (stays.numel() > 0).then(|| loadings.index_select(1, &stays))
}
