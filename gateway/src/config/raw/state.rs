//! The section `state` as written in the file.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{duration::HumanDuration, located::Located};

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
    /// `redis://HOST[:PORT][/DATABASE]`, or `rediss://` for TLS, or a list of some nodes of a cluster; a URL with a password
    /// is a reference such as `${STATE_URL}`.
    pub url: Located<Urls>,
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
    pub password: Option<Located<String>>,
    /// The certificate authorities of the store, as PEM in a file relative to this one; the public ones by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Located<PathBuf>>,
    /// Most time that a request waits for the store.
    #[serde(default = "default_timeout")]
    pub timeout: Located<HumanDuration>,
    /// The prefix of the store's keys; gateways that share budgets have the same.
    #[serde(default = "default_prefix")]
    #[schemars(regex(pattern = "^[0-9A-Za-z_.-]+$"))]
    pub prefix: Located<String>,
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

/// A hundred times what a store in the same network takes, and little compared with the response of an LLM.
fn default_timeout() -> Located<HumanDuration> {
    HumanDuration(Duration::from_millis(50)).into()
}

fn default_prefix() -> Located<String> {
    "personaroute".to_owned().into()
}
