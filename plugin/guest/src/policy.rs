//! Ranks the candidates of one request by the scorer's predictions.

use crate::model::{Candidates, Exclusion, NONE, Ranking, Request, RoutingError};

/// The scorer's outputs for one request; each slice has one value per LLM column.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'row> {
    pub utility: &'row [f32],
    pub effect: &'row [f32],
    pub cost: &'row [f32],
    pub uncertainty: &'row [f32],
}

/// The scorer's prediction for one LLM.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Prediction {
    utility: f32,
    effect: f32,
    cost: f32,
    uncertainty: f32,
}

/// Ranks usable candidates before excluded ones; then by higher utility, then by lower price, then by id.
///
/// A candidate that is not in the bundle has the new-LLM prior, a lower confidence bound, so that it is a fallback but
/// rarely the first choice.
///
/// # Errors
///
/// Fails when a prediction is not finite.
pub fn rank(request: &Request, predictions: &Predictions<'_>) -> Result<Ranking, RoutingError> {
    let columns = &request.candidates.columns;
    let mut ranking = Ranking {
        order: Vec::with_capacity(columns.len()),
        utilities: gather("utility", predictions.utility, columns)?,
        effects: gather("effect", predictions.effect, columns)?,
        costs: gather("cost", predictions.cost, columns)?,
        uncertainties: gather("uncertainty", predictions.uncertainty, columns)?,
        excluded: Vec::new(),
    };
    for uncertainty in &mut ranking.uncertainties {
        *uncertainty = uncertainty.max(0.0);
    }
    if columns.contains(&NONE) {
        fill_unknown(&mut ranking, columns, predictions)?;
    }
    order(&mut ranking, request);
    Ok(ranking)
}

/// Returns the values of the known candidates, by position; 0 for the others.
fn gather(name: &str, row: &[f32], columns: &[u32]) -> Result<Vec<f32>, RoutingError> {
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let value = row.get(*column as usize).copied().or((*column == NONE).then_some(0.0));
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return Err(RoutingError::Inference(format!("scorer: {name} of column {column} is not finite")));
        };
        // Adding 0 turns -0 into 0; otherwise the sign would decide ties.
        values.push(value + 0.0);
    }
    Ok(values)
}

/// Sets the scores of LLMs that are not in the bundle to the new-LLM prior: from the known candidates, or from every LLM
/// of the bundle when no candidate is known.
fn fill_unknown(ranking: &mut Ranking, columns: &[u32], predictions: &Predictions<'_>) -> Result<(), RoutingError> {
    let mut known: Vec<u32> = columns.iter().copied().filter(|column| *column != NONE).collect();
    if known.is_empty() {
        known = (0..).take(predictions.utility.len()).collect();
    }
    let known: Vec<Prediction> = known.into_iter().map(|column| predictions.at(column)).collect::<Result<_, _>>()?;
    let Prediction { utility, effect, cost, uncertainty } = new_llm_prior(&known);
    let lists = [
        (&mut ranking.utilities, utility),
        (&mut ranking.effects, effect),
        (&mut ranking.costs, cost),
        (&mut ranking.uncertainties, uncertainty),
    ];
    for (values, prior) in lists {
        let unknown = values.iter_mut().zip(columns).filter(|(_, column)| **column == NONE);
        unknown.for_each(|(value, _)| *value = prior);
    }
    Ok(())
}

/// Sorts the candidates by keys that hold the utility in the upper and the position in the lower half.
fn order(ranking: &mut Ranking, request: &Request) {
    let (mut usable, mut excluded) = (Vec::with_capacity(ranking.utilities.len()), Vec::new());
    for (position, (utility, window)) in (0..).zip(ranking.utilities.iter().zip(&request.candidates.context_windows)) {
        let key = u64::from(descending(*utility)) << 32 | u64::from(position);
        // A prompt that leaves no room for a completion does not fit.
        if request.prompt_tokens < *window || *window == NONE {
            usable.push(key);
        } else {
            excluded.push(key);
            ranking.excluded.push((position, Exclusion::ContextWindow));
        }
    }
    for keys in [&mut usable, &mut excluded] {
        sort(keys, &request.candidates);
        ranking.order.extend(keys.iter().copied().map(position));
    }
}

fn sort(keys: &mut [u64], candidates: &Candidates) {
    keys.sort_unstable();
    for equal in keys.chunk_by_mut(|left, right| left >> 32 == right >> 32).filter(|equal| equal.len() > 1) {
        equal.sort_unstable_by(|left, right| {
            let (left, right) = (position(*left) as usize, position(*right) as usize);
            let by_price = candidates.price(left).total_cmp(&candidates.price(right));
            by_price.then_with(|| candidates.id(left).cmp(candidates.id(right)))
        });
    }
}

/// Returns the position in the lower half of a key.
fn position(key: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "invariant: the position is in the lower half")]
    let position = key as u32;
    position
}

/// Maps a float to an integer that sorts in descending order of the float.
fn descending(value: f32) -> u32 {
    let bits = value.to_bits();
    // The bits of floats of one sign are ordered like their absolute values.
    if value.is_sign_negative() { bits } else { !bits & (u32::MAX >> 1) }
}

/// Returns the new-LLM prior: the mean of the known predictions, worse by one standard deviation among them. The utility
/// is also worse by their mean uncertainty, so that even a single known LLM ranks before an unknown one.
fn new_llm_prior(known: &[Prediction]) -> Prediction {
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

/// Rounds to f32; predictions near the end of its range stay finite.
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
            // Adding 0 turns -0 into 0; otherwise the sign would decide ties.
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

#[cfg(test)]
mod tests;
