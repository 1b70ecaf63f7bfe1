//! What outlives a request and a process, as written.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::config::duration;

/// What outlives the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Keeps what was spent, beside this file; without it a restart forgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where several gateways keep their budgets together; without it each holds its clients to them alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
}

/// A store that speaks Redis's protocol.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// `redis://HOST[:PORT][/DATABASE]`, or `rediss://` for TLS; one that holds a password is a reference such as
    /// `${STATE_URL}`.
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A reference such as `${STATE_PASSWORD}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub password: Option<Spanned<String>>,
    /// The authorities, as PEM beside this file, that the store's certificate comes from; the public web's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Longest wait of a request for the store.
    #[serde(default = "default_timeout", with = "duration")]
    #[schemars(with = "duration::Written")]
    pub timeout: Duration,
    /// What the store's keys begin with; gateways that share their budgets have the same.
    #[serde(default = "default_prefix")]
    #[schemars(with = "String", regex(pattern = "^[0-9A-Za-z_.-]+$"))]
    pub prefix: Spanned<String>,
}

/// A hundred times what a store nearby takes, and less than what anybody notices before an LLM's answer.
fn default_timeout() -> Duration {
    Duration::from_millis(50)
}

fn default_prefix() -> Spanned<String> {
    super::spanned("personaroute".to_owned())
}
