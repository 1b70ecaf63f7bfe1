//! Who may call and how much each may use, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::located::Located;

/// Who may call.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub mode: Located<AuthMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Located<Vec<Key>>>,
    /// A YAML list of further keys, in a file relative to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<Located<PathBuf>>,
    /// What each user may use, whichever key a request has; by default unlimited with `mode: none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user_limits: Option<Quota>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Every client that reaches the listener, which must be on loopback.
    #[default]
    None,
    /// Clients with one of the keys.
    Keys,
}

/// A key that clients send as a bearer token or as `x-api-key`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in logs, metrics and `/usage`.
    pub name: Located<String>,
    /// SHA-256 of the key in hex; the key itself is not stored. Not needed with `certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<Located<String>>,
    /// SHA-256 of a client certificate in hex, as `openssl x509 -fingerprint -sha256` prints it, without colons. A client
    /// with this certificate needs no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub certificate: Option<Located<String>>,
    /// The user of its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether its requests may set any user.
    #[serde(default)]
    pub can_impersonate: bool,
    /// Whether its requests may set preference, task and candidates, or bypass the router; `can_impersonate` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overrides: Option<bool>,
    /// The models it may request; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<Located<String>>>,
    #[serde(default)]
    pub limits: Quota,
}

/// What a key or a user may use; `null` removes a limit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    pub requests_per_minute: Option<Located<u32>>,
    /// Input and output tokens together.
    pub tokens_per_minute: Option<Located<u32>>,
    /// Requests in flight.
    pub concurrency: Option<Located<u32>>,
    pub budget: Option<Located<Budget>>,
}

impl Default for Quota {
    /// Wide enough for the service of a team, and still an end for a client in an endless loop.
    fn default() -> Self {
        Self {
            requests_per_minute: Some(6_000.into()),
            tokens_per_minute: Some(10_000_000.into()),
            concurrency: Some(256.into()),
            budget: None,
        }
    }
}

/// Most USD of each day, of each month, or of both. Periods are those of UTC's calendar.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// USD for each day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<Located<f64>>,
    /// USD for each month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Located<f64>>,
}
