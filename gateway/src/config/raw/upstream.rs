//! The services that answer, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::Probe;
use crate::config::{duration::HumanDuration, located::Located};

/// A service that answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub name: Located<String>,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Located<String>>,
    /// A reference such as `${OPENAI_API_KEY}`; without it the client's own credentials are forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Located<String>>,
    /// Certificate authorities of the upstream, in place of the public ones: a PEM file, or a reference such as
    /// `${UPSTREAM_CA}` to a file's name or to the PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Located<String>>,
    /// The certificate chain that is shown to the upstream, the gateway's own certificate first; given as `ca` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Located<String>>,
    /// The private key of `client_certificate`; given as `ca` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Located<String>>,
    /// Headers added to each call; a secret is a reference such as `${TEAM_KEY}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<HeaderText>>,
    /// Health checks between requests; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Probe>,
    /// The field that limits the output of requests that are translated for it.
    #[serde(default)]
    pub output_limit: OutputLimit,
    /// How an upstream of kind `openai` serves `/v1/responses`.
    #[serde(default)]
    pub responses: ResponsesApi,
    /// Pause between the chunks of a simulated response.
    #[serde(default)]
    pub chunk_delay: HumanDuration,
}

/// The field in which an upstream of kind `openai` takes the limit of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// OpenAI's current field.
    #[default]
    MaxCompletionTokens,
    /// The older field, which many other vendors know alone.
    MaxTokens,
}

/// How an upstream of kind `openai` serves `/v1/responses`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponsesApi {
    /// The upstream has this path.
    #[default]
    Native,
    /// The upstream has only chat completions, to which requests are translated.
    Chat,
}

/// Which protocol an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenAI's HTTP interface.
    Openai,
    /// Anthropic's HTTP interface.
    Anthropic,
    /// Built in: answers without any LLM, and says so.
    Simulated,
}

impl Kind {
    /// Returns the kind as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Simulated => "simulated",
        }
    }
}

/// What stands in the output of `personaroute check` for the value of a header.
pub const HIDDEN: &str = "(hidden)";

/// The value of a header. It is written back only if it is a reference: anything else may be a secret.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct HeaderText(pub String);

impl HeaderText {
    /// Returns whether the value is a reference to the environment.
    pub fn is_reference(&self) -> bool {
        self.0.starts_with("${")
    }

    fn shown(&self) -> &str {
        if self.is_reference() { &self.0 } else { HIDDEN }
    }
}

impl std::fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for HeaderText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}
