//! Who may call, as written.

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// Who may call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub mode: AuthMode,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// What each user may use, whichever key speaks for it.
    pub user_limits: Quota,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Everybody who reaches the listener, which must be on loopback.
    #[default]
    None,
    /// Holders of the keys.
    Keys,
}

/// A key that clients send as a bearer token or as `x-api-key`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in logs.
    pub name: Spanned<String>,
    /// SHA-256 of the key in hex; the key itself is written nowhere.
    pub sha256: Spanned<String>,
    /// Whose requests these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether its requests may name other users.
    #[serde(default)]
    pub speaks_for_users: bool,
    /// Whether its requests may override preference, task and candidates, or bypass the router.
    #[serde(default = "yes")]
    pub overrides: bool,
    /// The models it may name; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub limits: Quota,
}

/// What a key or a user may use; what is not named is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Allowance>,
}

/// Money for a period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    pub usd: f64,
    pub per: Period,
}

/// A period of UTC's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

fn yes() -> bool {
    true
}
