//! Checks the plugin's results before they are used.

use crate::{
    Candidate, DecisionFault, Profile,
    bindings::exports::personaroute::router::routing::{Decision, Ranking, TaskGuess},
};

/// Longest explanation of a decision, in bytes.
const MAX_WHY: usize = 4096;

/// Longest task name, in bytes.
const MAX_TASK: usize = 1024;

/// Accepts a decision that ranks every candidate once and has finite scores and texts of bounded length.
pub(crate) fn decision(decision: &Decision, candidates: &[Candidate]) -> Result<(), DecisionFault> {
    ranking(&decision.ranking, candidates)?;
    if decision.why.len() > MAX_WHY {
        return Err(DecisionFault::TooLong { field: "why" });
    }
    decision.task.as_ref().map_or(Ok(()), task)
}

/// Accepts a profile whose embedding has `user_dim` finite values and whose preference and certainty are 0 to 1.
pub(crate) fn profile(profile: &Profile, user_dim: usize) -> Result<(), DecisionFault> {
    let got = profile.embedding.len();
    if got != user_dim {
        return Err(DecisionFault::ProfileDim { expected: user_dim, got });
    }
    let in_range = profile.preference.is_none_or(|preference| (0.0..=1.0).contains(&preference));
    if !in_range {
        return Err(DecisionFault::OutOfRange { field: "preference" });
    }
    if !(0.0..=1.0).contains(&profile.certainty) {
        return Err(DecisionFault::OutOfRange { field: "certainty" });
    }
    if profile.embedding.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(DecisionFault::OutOfRange { field: "embedding" })
}

fn ranking(ranking: &Ranking, candidates: &[Candidate]) -> Result<(), DecisionFault> {
    unique(ranking.order.iter().copied(), candidates)?;
    if ranking.order.len() < candidates.len() {
        let is_missing = |position: u32| !ranking.order.contains(&position);
        let missing = (0..).zip(candidates).find(|(position, _)| is_missing(*position));
        return missing
            .map_or(Ok(()), |(_, candidate)| Err(DecisionFault::MissingCandidate(candidate.llm.to_string())));
    }
    unique(ranking.excluded.iter().map(|excluded| excluded.candidate), candidates)?;
    finite("utility", &ranking.utilities, candidates)?;
    finite("effect", &ranking.effects, candidates)?;
    finite("cost", &ranking.costs, candidates)?;
    finite("uncertainty", &ranking.uncertainties, candidates)?;
    if ranking.uncertainties.iter().any(|uncertainty| *uncertainty < 0.0) {
        return Err(DecisionFault::OutOfRange { field: "uncertainty" });
    }
    Ok(())
}

/// Accepts positions of candidates that are all different.
fn unique(positions: impl Iterator<Item = u32>, candidates: &[Candidate]) -> Result<(), DecisionFault> {
    let mut seen = vec![false; candidates.len()];
    for position in positions {
        let Some((seen, candidate)) = seen.get_mut(position as usize).zip(candidates.get(position as usize)) else {
            return Err(DecisionFault::UnknownCandidate(position));
        };
        if std::mem::replace(seen, true) {
            return Err(DecisionFault::DuplicateCandidate(candidate.llm.to_string()));
        }
    }
    Ok(())
}

/// Accepts one finite value for each candidate.
fn finite(field: &'static str, values: &[f32], candidates: &[Candidate]) -> Result<(), DecisionFault> {
    let (expected, got) = (candidates.len(), values.len());
    if got != expected {
        return Err(DecisionFault::ScoreCount { field, expected, got });
    }
    match values.iter().zip(candidates).find(|(value, _)| !value.is_finite()) {
        Some((_, candidate)) => Err(DecisionFault::NotFinite { llm: candidate.llm.to_string(), field }),
        None => Ok(()),
    }
}

fn task(guess: &TaskGuess) -> Result<(), DecisionFault> {
    if guess.task.len() > MAX_TASK {
        return Err(DecisionFault::TooLong { field: "task" });
    }
    // Rounding may raise a probability slightly above one.
    if (0.0..=1.001).contains(&guess.probability) {
        return Ok(());
    }
    Err(DecisionFault::OutOfRange { field: "task probability" })
}

#[cfg(test)]
mod tests;
