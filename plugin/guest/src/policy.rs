//! Ranks the candidates of one request from the scorer's predictions.

use std::cmp::Ordering;

use crate::model::{Candidate, Exclusion, Request, RoutingError, Score};

/// The scorer's outputs for one request, a value per LLM column each.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'row> {
    pub utility: &'row [f32],
    pub effect: &'row [f32],
    pub cost: &'row [f32],
    pub uncertainty: &'row [f32],
}

/// What the scorer says of one LLM.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Prediction {
    utility: f32,
    effect: f32,
    cost: f32,
    uncertainty: f32,
}

/// Ranks: usable candidates first; then by utility, the higher first; then the cheaper; then by id.
///
/// A candidate that the bundle does not know gets a cautious prediction, so that it is a fallback but
/// rarely the first choice.
///
/// # Errors
///
/// When a prediction is not finite.
pub fn rank(request: &Request, predictions: &Predictions<'_>) -> Result<Vec<Score>, RoutingError> {
    let predicted: Vec<Option<Prediction>> = request
        .candidates
        .iter()
        .map(|candidate| candidate.column.map(|column| predictions.at(column)).transpose())
        .collect::<Result<_, _>>()?;
    let all_known = predicted.iter().all(Option::is_some);
    let unknown = if all_known { None } else { Some(prior(&predicted, predictions)?) };
    let mut ranked: Vec<(&Candidate, Score)> = request
        .candidates
        .iter()
        .zip(predicted)
        .filter_map(|(candidate, predicted)| {
            let score = predicted.or(unknown)?.score(candidate, exclusion(request, candidate));
            Some((candidate, score))
        })
        .collect();
    ranked.sort_unstable_by(order);
    Ok(ranked.into_iter().map(|(_, score)| score).collect())
}

/// A prompt that leaves no room for an answer does not fit.
fn exclusion(request: &Request, candidate: &Candidate) -> Option<Exclusion> {
    let fits = candidate.context_window.is_none_or(|window| request.prompt_tokens < window);
    if fits { None } else { Some(Exclusion::ContextWindow) }
}

fn order((left, left_score): &(&Candidate, Score), (right, right_score): &(&Candidate, Score)) -> Ordering {
    let price = |candidate: &Candidate| f64::from(candidate.input_price) + f64::from(candidate.output_price);
    left_score
        .excluded
        .is_some()
        .cmp(&right_score.excluded.is_some())
        .then_with(|| right_score.utility.total_cmp(&left_score.utility))
        .then_with(|| price(left).total_cmp(&price(right)))
        .then_with(|| left.llm.cmp(&right.llm))
}

/// Returns what to expect of an LLM the bundle does not know, given the other candidates, or every LLM of the bundle
/// when no candidate is known.
fn prior(predicted: &[Option<Prediction>], predictions: &Predictions<'_>) -> Result<Prediction, RoutingError> {
    let mut known: Vec<Prediction> = predicted.iter().copied().flatten().collect();
    if known.is_empty() {
        let columns = u32::try_from(predictions.utility.len()).unwrap_or(u32::MAX);
        known = (0..columns).map(|column| predictions.at(column)).collect::<Result<_, _>>()?;
    }
    Ok(cautious(&known))
}

/// The mean of what is known, each part worse by its standard deviation among the known; the utility also by their
/// own mean uncertainty, so that even a single known LLM comes before an unknown one.
fn cautious(known: &[Prediction]) -> Prediction {
    let utility = Moments::of(known.iter().map(|prediction| prediction.utility));
    let effect = Moments::of(known.iter().map(|prediction| prediction.effect));
    let cost = Moments::of(known.iter().map(|prediction| prediction.cost));
    let own = Moments::of(known.iter().map(|prediction| prediction.uncertainty * prediction.uncertainty));
    let uncertainty = (utility.variance + own.mean).sqrt();
    Prediction {
        utility: finite(utility.mean - uncertainty),
        effect: finite(effect.mean - effect.variance.sqrt()),
        cost: finite(cost.mean + cost.variance.sqrt()),
        uncertainty: finite(uncertainty),
    }
}

/// Rounds to 32 bits; predictions near the end of the range stay inside it.
fn finite(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of f32")]
    let rounded = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    rounded
}

/// Mean and variance of some values.
struct Moments {
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / n;
        let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n;
        Self { mean, variance }
    }
}

impl Predictions<'_> {
    fn at(&self, column: u32) -> Result<Prediction, RoutingError> {
        let value = |name: &str, row: &[f32]| {
            let value = row.get(column as usize).copied().filter(|value| value.is_finite());
            // Adding nothing turns -0 into 0, which would otherwise decide ties.
            value
                .map(|value| value + 0.0)
                .ok_or_else(|| RoutingError::Inference(format!("scorer: {name} of column {column} is not finite")))
        };
        Ok(Prediction {
            utility: value("utility", self.utility)?,
            effect: value("effect", self.effect)?,
            cost: value("cost", self.cost)?,
            uncertainty: value("uncertainty", self.uncertainty)?.max(0.0),
        })
    }
}

impl Prediction {
    fn score(self, candidate: &Candidate, excluded: Option<Exclusion>) -> Score {
        let Self { utility, effect, cost, uncertainty } = self;
        Score { llm: candidate.llm.clone(), utility, effect, cost, uncertainty, excluded }
    }
}

#[cfg(test)]
mod tests;
