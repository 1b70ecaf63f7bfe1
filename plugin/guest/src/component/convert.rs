//! Conversions between the generated types and the plain ones, field by field.

use personaroute_bundle::interaction::{InteractionKind, QueryFeatures, TaskColumns};
use personaroute_bundle::lexical::Lexical;

use super::bindings::exports::personaroute::router::{learning, routing};
use super::bindings::personaroute::router::users;
use crate::model;

impl From<routing::Model> for model::Model {
    fn from(from: routing::Model) -> Self {
        let text_encoder = match from.text_encoder {
            routing::TextEncoder::Lexical(encoder) => {
                let routing::LexicalEncoder { version, buckets, max_words, max_ids, seed } = encoder;
                model::TextEncoder::Lexical(version, Lexical { buckets, max_words, max_ids, seed })
            }
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
            candidates: from.candidates.into(),
            prompt_tokens: from.prompt_tokens,
        }
    }
}

impl From<routing::Candidates> for model::Candidates {
    fn from(from: routing::Candidates) -> Self {
        Self {
            ids: from.ids,
            id_ends: from.id_ends,
            columns: from.columns,
            input_prices: from.input_prices,
            output_prices: from.output_prices,
            context_windows: from.context_windows,
        }
    }
}

impl From<learning::Interaction> for model::Interaction {
    fn from(from: learning::Interaction) -> Self {
        Self {
            llm: from.llm_column,
            task: match from.task {
                learning::TaskHint::Unknown => TaskColumns::Unknown,
                learning::TaskHint::Declared(column) => TaskColumns::Declared(column),
                learning::TaskHint::Guessed(probabilities) => TaskColumns::Guessed(probabilities),
            },
            query: match from.query {
                learning::QueryFeatures::None => QueryFeatures::None,
                learning::QueryFeatures::Ngrams(ids) => QueryFeatures::Ngrams(ids),
                learning::QueryFeatures::Embedding(values) => QueryFeatures::Embedding(values),
            },
            kind: match from.kind {
                learning::InteractionKind::Rating => InteractionKind::Rating,
                learning::InteractionKind::Choice => InteractionKind::Choice,
            },
            value: from.value,
            weight: from.weight,
            group: from.group,
        }
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
        Self {
            embedding: from.embedding,
            state,
            interactions: from.interactions,
            preference: from.preference,
            certainty: from.certainty,
        }
    }
}

impl From<model::Profile> for users::UserProfile {
    fn from(from: model::Profile) -> Self {
        Self {
            embedding: from.embedding,
            state: from.state.into(),
            interactions: from.interactions,
            preference: from.preference,
            certainty: from.certainty,
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
            ranking: from.ranking.into(),
            user_state: from.user_state.into(),
            task: from.task.map(|guess| routing::TaskGuess { task: guess.task, probability: guess.probability }),
            why: from.why,
        }
    }
}

impl From<model::Ranking> for routing::Ranking {
    fn from(from: model::Ranking) -> Self {
        let excluded = |(candidate, reason)| routing::ExcludedCandidate {
            candidate,
            reason: match reason {
                model::Exclusion::ContextWindow => routing::Exclusion::ContextWindow,
            },
        };
        Self {
            order: from.order,
            utilities: from.utilities,
            effects: from.effects,
            costs: from.costs,
            uncertainties: from.uncertainties,
            excluded: from.excluded.into_iter().map(excluded).collect(),
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
