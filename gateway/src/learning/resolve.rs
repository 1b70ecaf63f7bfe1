//! Joins a feedback with the decision that it is about.

use super::{
    clock, codec,
    error::Refusal,
    record::{Decision, Signal},
};
use crate::api::{
    Invalid,
    feedback::{Feedback, Said},
};

/// Prefix of the ids of answers that are no decision of the gateway.
const OWN_PREFIX: &str = "fb_";

/// Returns the signal that `feedback` gives for `decision`.
///
/// # Errors
///
/// Fails if it names an LLM that was no candidate.
pub(super) fn signal(decision: &Decision, feedback: Feedback) -> Result<Signal, Refusal> {
    let said = feedback.said.about(&decision.origin.llm);
    let is_candidate = |llm: &str| decision.candidates.iter().any(|candidate| candidate.llm == llm);
    if let Some((field, llm)) = said.llms().into_iter().find(|(_, llm)| !is_candidate(llm)) {
        return Err(Invalid::new(field, format!("`{llm}` was no candidate of this decision")).into());
    }
    let received = clock::now();
    let at = feedback.at.unwrap_or(received);
    let mut origin = decision.origin.clone();
    if said.llm().is_some_and(|llm| llm != origin.llm) {
        // It is about an answer that the router did not choose.
        origin.propensity = None;
    }
    Ok(Signal { decision: decision.id.clone(), said, at, received, origin })
}

/// Returns a new id for an answer that is no decision of the gateway.
pub(super) fn own_id() -> String {
    format!("{OWN_PREFIX}{:032x}", rand::random::<u128>())
}

/// Returns whether `id` is one of [`own_id`].
pub(super) fn is_own_id(id: &str) -> bool {
    id.starts_with(OWN_PREFIX)
}

/// Returns the candidate that is ranked after the one that `said` is about.
pub(super) fn next_best(decision: &Decision, said: &Said) -> Option<String> {
    let llm = said.llm()?;
    let mut candidates = decision.candidates.iter().map(|candidate| &candidate.llm).skip_while(|name| *name != llm);
    candidates.next();
    candidates.next().cloned()
}

/// Returns the number that the signals for one answer share, so that answers to one query are compared with each other.
pub(super) fn group(decision: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(codec::encode(&decision));
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
