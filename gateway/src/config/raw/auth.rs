//! Who may call, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// Who may call.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub mode: AuthMode,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// A YAML list of keys, beside this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
    /// What each user may use, whichever key speaks for it; by default unlimited where nobody needs a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user_limits: Option<Quota>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Everybody who reaches the listener, which must be on loopback.
    #[default]
    None,
    /// Holders of the keys.
    Keys,
}

/// A key that clients send as a bearer token or as `x-api-key`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in logs.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// SHA-256 of the key in hex; the key itself is written nowhere. Not needed beside `certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<Spanned<String>>,
    /// SHA-256 of the client certificate that stands for the key, in hex (`openssl x509 -fingerprint -sha256`, without
    /// colons).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub certificate: Option<Spanned<String>>,
    /// Whose requests these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether its requests may name other users.
    #[serde(default)]
    pub can_impersonate: bool,
    /// Whether its requests may override preference, task and candidates, or bypass the router; by default those of keys
    /// that speak for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overrides: Option<bool>,
    /// The models it may name; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub models: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub limits: Quota,
}

/// What a key or a user may use; `null` lifts a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    pub requests_per_minute: Option<u32>,
    /// Input and output together.
    pub tokens_per_minute: Option<u32>,
    /// Requests in flight.
    pub concurrency: Option<u32>,
    pub budget: Option<Budget>,
}

impl Default for Quota {
    fn default() -> Self {
        // Wide enough for a team's service, and still an end to a loop that went wild.
        Self {
            requests_per_minute: Some(6_000),
            tokens_per_minute: Some(10_000_000),
            concurrency: Some(256),
            budget: None,
        }
    }
}

impl Quota {
    /// No limit at all.
    pub const UNLIMITED: Self =
        Self { requests_per_minute: None, tokens_per_minute: None, concurrency: None, budget: None };
}

/// Most USD of each day, of each month, or of both. Periods are those of UTC's calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// USD for each day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<f64>,
    /// USD for each month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<f64>,
}

impl Budget {
    /// Returns a budget for one period.
    pub fn of(usd: f64, per: Period) -> Self {
        match per {
            Period::Day => Self { day: Some(usd), month: None },
            Period::Month => Self { day: None, month: Some(usd) },
        }
    }

    /// Returns the USD that may be spent in each `per`; none is no limit.
    pub fn limit(&self, per: Period) -> Option<f64> {
        match per {
            Period::Day => self.day,
            Period::Month => self.month,
        }
    }
}

/// A period of UTC's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    Month,
}

impl Period {
    /// Both periods.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// Returns the period as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}
