//! What a plugin returns is checked before anyone acts on it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    Candidate, DecisionFault, Profile,
    component::bindings::exports::personaroute::router::routing::{Decision, Score, TaskGuess},
};

/// Longest sentence of a decision, in bytes.
const MAX_WHY: usize = 4096;

/// Longest task name, in bytes.
const MAX_TASK: usize = 1024;

/// Up to so many candidates are found by looking at each; more through a map.
const SCAN: usize = 32;

/// Accepts a decision that ranks every candidate once, with finite scores, in bounded texts.
pub(crate) fn decision(decision: &Decision, candidates: &[Candidate]) -> Result<(), DecisionFault> {
    ranking(&decision.ranking, candidates)?;
    if decision.why.len() > MAX_WHY {
        return Err(DecisionFault::TooLong { field: "why" });
    }
    decision.task.as_ref().map_or(Ok(()), task)
}

/// Accepts an adapted profile of the bundle's dimension, with finite values.
pub(crate) fn profile(profile: &Profile, user_dim: usize) -> Result<(), DecisionFault> {
    let got = profile.embedding.len();
    if got != user_dim {
        return Err(DecisionFault::ProfileDim { expected: user_dim, got });
    }
    let in_range = profile.preference.is_none_or(|preference| (0.0..=1.0).contains(&preference));
    if !in_range {
        return Err(DecisionFault::OutOfRange { field: "preference" });
    }
    if profile.embedding.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(DecisionFault::OutOfRange { field: "embedding" })
}

fn ranking(ranking: &[Score], candidates: &[Candidate]) -> Result<(), DecisionFault> {
    let place = Places::new(candidates);
    let mut ranked = vec![false; candidates.len()];
    for score in ranking {
        let seen = place.of(&score.llm).and_then(|idx| ranked.get_mut(idx));
        let Some(seen) = seen else { return Err(DecisionFault::UnknownCandidate(score.llm.clone())) };
        if std::mem::replace(seen, true) {
            return Err(DecisionFault::DuplicateCandidate(score.llm.clone()));
        }
        finite(score)?;
    }
    match candidates.iter().zip(ranked).find(|(_, ranked)| !ranked) {
        Some((missing, _)) => Err(DecisionFault::MissingCandidate(missing.llm.clone())),
        None => Ok(()),
    }
}

fn finite(score: &Score) -> Result<(), DecisionFault> {
    let fields = [
        ("utility", score.utility),
        ("effect", score.effect),
        ("cost", score.cost),
        ("uncertainty", score.uncertainty),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, value)| !value.is_finite()) {
        return Err(DecisionFault::NotFinite { llm: score.llm.clone(), field });
    }
    if score.uncertainty < 0.0 {
        return Err(DecisionFault::OutOfRange { field: "uncertainty" });
    }
    Ok(())
}

fn task(guess: &TaskGuess) -> Result<(), DecisionFault> {
    if guess.task.len() > MAX_TASK {
        return Err(DecisionFault::TooLong { field: "task" });
    }
    // Rounding may carry a probability a little over one.
    if (0.0..=1.001).contains(&guess.probability) {
        return Ok(());
    }
    Err(DecisionFault::OutOfRange { field: "task probability" })
}

/// Where each candidate stands in the request.
enum Places<'a> {
    Scan(&'a [Candidate]),
    // Seeded, and several times faster than the standard hash, which shows at a thousand candidates.
    Map(HashMap<&'a str, usize, RandomState>),
}

impl<'a> Places<'a> {
    fn new(candidates: &'a [Candidate]) -> Self {
        if candidates.len() <= SCAN {
            return Self::Scan(candidates);
        }
        Self::Map(candidates.iter().enumerate().map(|(idx, candidate)| (candidate.llm.as_str(), idx)).collect())
    }

    fn of(&self, llm: &str) -> Option<usize> {
        match self {
            Self::Scan(candidates) => candidates.iter().position(|candidate| candidate.llm == llm),
            Self::Map(places) => places.get(llm).copied(),
        }
    }
}

#[cfg(test)]
mod tests;
