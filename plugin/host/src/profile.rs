//! What is known about a user, and what it is learnt from.

use serde::{Deserialize, Serialize};

/// How much the router knows about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Trained with the bundle.
    Known,
    /// Embedded by the adapter graph from interactions seen since.
    Adapted,
    /// Named, but without any interaction: the population prior.
    New,
    /// No user was named: the population prior.
    Anonymous,
}

impl UserState {
    /// Returns the state in lower case, as headers, labels and rows spell it.
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

/// A user as the scorer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The user's embedding; as long as the bundle's `user_dim`.
    pub embedding: Vec<f32>,
    /// How much the router knows about the user.
    pub state: UserState,
    /// Interactions behind the embedding.
    pub interactions: u32,
    /// Estimated weight of effect against cost, 0 (cost only) to 1 (effect only).
    pub preference: Option<f32>,
}

/// One answer a user rated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// The LLM that answered; interactions with LLMs the bundle does not know teach nothing and are left out.
    pub llm: String,
    /// The query's task; none, or a name the bundle does not know, when unknown.
    pub task: Option<String>,
    /// Groups the answers of several LLMs to one query of this user.
    pub query: u64,
    /// The user's reward, on the training data's scale; finite.
    pub reward: f32,
}
