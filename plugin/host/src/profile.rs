//! User profiles, and the interactions they are learned from.

use serde::{Deserialize, Serialize};

use crate::bundle::interaction::{InteractionKind, QueryFeatures};

/// How much the router knows about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// The user is in the bundle's user table.
    Known,
    /// The adapter graph computed the embedding from later interactions.
    Adapted,
    /// A user id without any interaction: the population prior is used.
    New,
    /// The request has no user id: the population prior is used.
    Anonymous,
}

impl UserState {
    /// Returns the state in snake case, as in headers, metric labels and JSON.
    ///
    /// ```
    /// assert_eq!(personaroute_host::UserState::Known.as_str(), "known");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Adapted => "adapted",
            Self::New => "new",
            Self::Anonymous => "anonymous",
        }
    }
}

/// A user as the scorer receives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The user's embedding: `user_dim` finite values.
    pub embedding: Vec<f32>,
    /// How much the router knows about the user.
    pub state: UserState,
    /// Number of interactions behind the embedding.
    pub interactions: u32,
    /// Estimated weight of effect against cost, 0 (cost only) to 1 (effect only); `None` if unknown.
    pub preference: Option<f32>,
    /// Share of the prior's variance that the interactions have removed: 0 for the prior, towards 1 the more is known.
    pub certainty: f32,
}

/// What is known of a query's task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskHint {
    /// Nothing.
    #[default]
    Unknown,
    /// The name of the declared task; a name that is not in the bundle means unknown.
    Declared(String),
    /// Names with their probabilities, at most 1 in all, such as the guess of a [`Decision`](crate::Decision); the rest
    /// stands for an unknown task.
    Guessed(Vec<(String, f32)>),
}

/// One response of which a user said something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// Id of the LLM that responded. Interactions with LLMs that are not in the bundle are ignored.
    pub llm: String,
    /// What is known of the query's task.
    pub task: TaskHint,
    /// The query's features, as [`Router::query_features`](crate::Router::query_features) returned them with the same bundle.
    pub query: QueryFeatures,
    /// Groups the responses of several LLMs to one query of this user.
    pub group: u64,
    /// What the user said.
    pub kind: InteractionKind,
    /// The user's reward on the training data's scale, the manifest's `reward_range`; of a choice, 1 for the best response of
    /// the group and 0 for the others.
    pub value: f32,
    /// How much it counts, 0 to 1: less for what was said long ago.
    pub weight: f32,
}
