//! Conversions between the library's types and those of the WIT package.

use std::sync::Arc;

use crate::{
    Candidate, Exclusion, Profile, Score, TaskGuess, UserState,
    bindings::{exports::personaroute::router::routing, personaroute::router::users},
};

impl From<Profile> for users::UserProfileResult {
    fn from(profile: Profile) -> Self {
        Self {
            embedding: profile.embedding,
            state: profile.state.into(),
            interactions: profile.interactions,
            preference: profile.preference,
            certainty: profile.certainty,
        }
    }
}

impl<'a> From<&'a Profile> for users::UserProfileParam<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            embedding: &profile.embedding,
            state: profile.state.into(),
            interactions: profile.interactions,
            preference: profile.preference,
            certainty: profile.certainty,
        }
    }
}

impl From<users::UserProfileResult> for Profile {
    fn from(profile: users::UserProfileResult) -> Self {
        Self {
            embedding: profile.embedding,
            state: profile.state.into(),
            interactions: profile.interactions,
            preference: profile.preference,
            certainty: profile.certainty,
        }
    }
}

impl From<UserState> for users::UserState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Known => Self::Known,
            UserState::Adapted => Self::Adapted,
            UserState::New => Self::New,
            UserState::Anonymous => Self::Anonymous,
        }
    }
}

impl From<users::UserState> for UserState {
    fn from(state: users::UserState) -> Self {
        match state {
            users::UserState::Known => Self::Known,
            users::UserState::Adapted => Self::Adapted,
            users::UserState::New => Self::New,
            users::UserState::Anonymous => Self::Anonymous,
        }
    }
}

/// Converts a ranking that has passed the checks: positions become LLM ids.
pub(crate) fn ranking(ranking: &routing::Ranking, candidates: &[Candidate]) -> Vec<Score> {
    let mut excluded = vec![None; if ranking.excluded.is_empty() { 0 } else { candidates.len() }];
    for out in &ranking.excluded {
        if let Some(reason) = excluded.get_mut(out.candidate as usize) {
            *reason = Some(match out.reason {
                routing::Exclusion::ContextWindow => Exclusion::ContextWindow,
            });
        }
    }
    let score = |position: &u32| {
        let position = *position as usize;
        Some(Score {
            llm: Arc::clone(&candidates.get(position)?.llm),
            utility: *ranking.utilities.get(position)?,
            effect: *ranking.effects.get(position)?,
            cost: *ranking.costs.get(position)?,
            uncertainty: *ranking.uncertainties.get(position)?,
            excluded: excluded.get(position).copied().flatten(),
        })
    };
    let mut scores = Vec::with_capacity(candidates.len());
    scores.extend(ranking.order.iter().filter_map(score));
    scores
}

impl From<routing::TaskGuess> for TaskGuess {
    fn from(guess: routing::TaskGuess) -> Self {
        Self { task: guess.task, probability: guess.probability }
    }
}
