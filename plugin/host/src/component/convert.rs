//! Between the library's types and those of the WIT package.

use super::bindings::{exports::personaroute::router::routing, personaroute::router::users};
use crate::{Exclusion, Profile, Score, TaskGuess, UserState};

impl From<Profile> for users::UserProfileResult {
    fn from(profile: Profile) -> Self {
        Self {
            embedding: profile.embedding,
            state: profile.state.into(),
            interactions: profile.interactions,
            preference: profile.preference,
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

impl From<routing::Score> for Score {
    fn from(score: routing::Score) -> Self {
        Self {
            llm: score.llm,
            utility: score.utility,
            effect: score.effect,
            cost: score.cost,
            uncertainty: score.uncertainty,
            excluded: score.excluded.map(|exclusion| match exclusion {
                routing::Exclusion::ContextWindow => Exclusion::ContextWindow,
            }),
        }
    }
}

impl From<routing::TaskGuess> for TaskGuess {
    fn from(guess: routing::TaskGuess) -> Self {
        Self { task: guess.task, probability: guess.probability }
    }
}
