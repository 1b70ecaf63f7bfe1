//! User profiles, and the interactions they are learned from.

use serde::{Deserialize, Serialize};

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
}

/// One response that a user rated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// Id of the LLM that responded. Interactions with LLMs that are not in the bundle are ignored.
    pub llm: String,
    /// The query's task; `None`, or a name that is not in the bundle, means unknown.
    pub task: Option<String>,
    /// Groups the responses of several LLMs to one query of this user.
    pub query: u64,
    /// The user's reward, on the training data's scale; finite.
    pub reward: f32,
}
