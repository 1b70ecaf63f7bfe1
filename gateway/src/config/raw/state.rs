//! The section `state` as written in the file.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::config::duration;

/// State that outlives a request.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The file that persists spending, relative to this file; without it a restart forgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The store in which several gateways share their budgets; without it each gateway enforces them alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedStore>,
}

/// A store that speaks Redis's protocol.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedStore {
    /// `redis://HOST[:PORT][/DATABASE]`, or `rediss://` for TLS, or a list of some nodes of a cluster; a URL that holds a
    /// password is a reference such as `${STATE_URL}`.
    #[schemars(with = "Urls")]
    pub url: Spanned<Urls>,
    /// Whether the URLs are nodes of a cluster. Several URLs are, unless `sentinel` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<bool>,
    /// The primary's name at the sentinels that the URLs name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A reference such as `${STATE_PASSWORD}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub password: Option<Spanned<String>>,
    /// The certificate authorities of the store, as PEM relative to this file; the public ones by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Longest wait of a request for the store.
    #[serde(default = "default_timeout", with = "duration")]
    #[schemars(with = "duration::Written")]
    pub timeout: Duration,
    /// Prefix of the store's keys; gateways that share their budgets have the same.
    #[serde(default = "default_prefix")]
    #[schemars(with = "String", regex(pattern = "^[0-9A-Za-z_.-]+$"))]
    pub prefix: Spanned<String>,
}

/// One URL or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Urls {
    One(String),
    Several(Vec<String>),
}

impl std::ops::Deref for Urls {
    type Target = [String];

    fn deref(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Several(urls) => urls,
        }
    }
}

/// A hundred times the round trip to a nearby store, and short beside the latency of an LLM.
fn default_timeout() -> Duration {
    Duration::from_millis(50)
}

fn default_prefix() -> Spanned<String> {
    super::spanned("personaroute".to_owned())
}
