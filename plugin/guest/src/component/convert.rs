//! Conversions between the generated types and the plain ones, field by field.

use personaroute_bundle::lexical::Lexical;

use super::bindings::exports::personaroute::router::{learning, routing};
use super::bindings::personaroute::router::users;
use crate::model;

impl From<routing::Model> for model::Model {
    fn from(from: routing::Model) -> Self {
        let text_encoder = match from.text_encoder {
            routing::TextEncoder::Lexical(lexical) => model::TextEncoder::Lexical(Lexical {
                buckets: lexical.buckets,
                max_words: lexical.max_words,
                max_ids: lexical.max_ids,
                seed: lexical.seed,
            }),
            routing::TextEncoder::Embedding(dim) => model::TextEncoder::Embedding(dim),
        };
        Self { text_encoder, tasks: from.tasks, llm_columns: from.llm_columns, prior: from.prior }
    }
}

impl From<routing::Request> for model::Request {
    fn from(from: routing::Request) -> Self {
        Self {
            user: from.user,
            text: from.text,
            task: from.task,
            preference: from.preference,
            candidates: from.candidates.into_iter().map(Into::into).collect(),
            prompt_tokens: from.prompt_tokens,
        }
    }
}

impl From<routing::Candidate> for model::Candidate {
    fn from(from: routing::Candidate) -> Self {
        Self {
            llm: from.llm,
            column: from.column,
            input_price: from.input_price,
            output_price: from.output_price,
            context_window: from.context_window,
        }
    }
}

impl From<learning::Interaction> for model::Interaction {
    fn from(from: learning::Interaction) -> Self {
        Self { llm_column: from.llm_column, task_column: from.task_column, query: from.query, reward: from.reward }
    }
}

impl From<users::UserProfile> for model::Profile {
    fn from(from: users::UserProfile) -> Self {
        let state = match from.state {
            users::UserState::Known => model::UserState::Known,
            users::UserState::Adapted => model::UserState::Adapted,
            users::UserState::New => model::UserState::New,
            users::UserState::Anonymous => model::UserState::Anonymous,
        };
        Self { embedding: from.embedding, state, interactions: from.interactions, preference: from.preference }
    }
}

impl From<model::Profile> for users::UserProfile {
    fn from(from: model::Profile) -> Self {
        Self {
            embedding: from.embedding,
            state: from.state.into(),
            interactions: from.interactions,
            preference: from.preference,
        }
    }
}

impl From<model::UserState> for users::UserState {
    fn from(from: model::UserState) -> Self {
        match from {
            model::UserState::Known => Self::Known,
            model::UserState::Adapted => Self::Adapted,
            model::UserState::New => Self::New,
            model::UserState::Anonymous => Self::Anonymous,
        }
    }
}

impl From<model::Decision> for routing::Decision {
    fn from(from: model::Decision) -> Self {
        Self {
            ranking: from.ranking.into_iter().map(Into::into).collect(),
            user_state: from.user_state.into(),
            task: from.task.map(|guess| routing::TaskGuess { task: guess.task, probability: guess.probability }),
            why: from.why,
        }
    }
}

impl From<model::Score> for routing::Score {
    fn from(from: model::Score) -> Self {
        let excluded = from.excluded.map(|excluded| match excluded {
            model::Exclusion::ContextWindow => routing::Exclusion::ContextWindow,
        });
        Self {
            llm: from.llm,
            utility: from.utility,
            effect: from.effect,
            cost: from.cost,
            uncertainty: from.uncertainty,
            excluded,
        }
    }
}

impl From<model::RoutingError> for routing::RoutingError {
    fn from(from: model::RoutingError) -> Self {
        match from {
            model::RoutingError::InvalidRequest(message) => Self::InvalidRequest(message),
            model::RoutingError::Inference(message) => Self::Inference(message),
        }
    }
}
