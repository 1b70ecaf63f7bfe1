//! The LLMs and the model names that are routed, as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hints;
use crate::{
    config::{duration::HumanDuration, located::Located},
    decide::Capability,
};

/// An LLM at an upstream. Prices are in USD per million tokens, the bundle's by default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The id in the bundle's catalog.
    pub llm: Located<String>,
    pub upstream: Located<String>,
    /// What the upstream calls it; the LLM's id by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_price: Option<Located<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_price: Option<Located<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_price: Option<Located<f32>>,
    /// Most tokens of prompt and response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "hints::capabilities")]
    pub capabilities: Option<Vec<Capability>>,
    /// Where it runs, for `constraints.regions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A model name that is routed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualModel {
    pub name: Located<String>,
    /// LLM ids; all models by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Located<Vec<Located<String>>>>,
    /// Weight of effect against cost, 0 to 1, for users who have none; by default the bundle's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub preference: Option<Located<f32>>,
    /// The task of all its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Located<String>>,
    /// The order of the candidates if the router returns none; the candidates that it omits follow, cheapest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<Located<String>>>,
    #[serde(default)]
    pub constraints: Constraints,
    #[serde(default)]
    pub stickiness: Stickiness,
    #[serde(default)]
    pub exploration: Exploration,
}

/// When a conversation keeps its LLM, whose prompt cache is warm.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stickiness {
    /// By how much another LLM's utility must be higher to replace it.
    pub margin: Located<f32>,
    /// How long after its last response a conversation is remembered.
    pub expiry: HumanDuration,
}

impl Default for Stickiness {
    /// Prompt caches live for about five minutes; the margin is a tenth of what separates good from middling responses.
    fn default() -> Self {
        Self { margin: 0.02.into(), expiry: HumanDuration::secs(300) }
    }
}

/// When another LLM than the best one answers, so that more is learned of the user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exploration {
    pub mode: ExplorationMode,
    /// By how much the utility of the LLM that answers may be lower than the best one.
    pub max_regret: Located<f32>,
    /// The least predicted effect of an LLM that is explored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_effect: Option<Located<f32>>,
}

/// How the LLM that is explored is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplorationMode {
    /// The best one always answers.
    Off,
    /// By a draw from the predicted distribution of each utility.
    Thompson,
    /// By the upper confidence bound of each utility.
    Ucb,
}

impl Default for Exploration {
    fn default() -> Self {
        Self { mode: ExplorationMode::Off, max_regret: 0.05.into(), min_effect: None }
    }
}

/// What a candidate must satisfy.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Constraints {
    /// USD per million input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_price: Option<Located<f32>>,
    /// USD per million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_price: Option<Located<f32>>,
    /// Allowed region tags; empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}
