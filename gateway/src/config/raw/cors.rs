//! Which pages of other origins may call, as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{duration::HumanDuration, located::Located};

/// Which pages of other origins may call from a browser (CORS).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins as browsers send them, such as `https://app.example` or `http://localhost:3000`; `*` alone allows every origin.
    pub origins: Located<Vec<Located<String>>>,
    /// Whether pages may use cookies and client certificates; not with `*`. A key in a header needs no credentials.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember a preflight response.
    #[serde(default = "default_max_age")]
    pub max_age: HumanDuration,
}

/// Chromium's upper limit is two hours; a shorter time lets a changed list take effect.
fn default_max_age() -> HumanDuration {
    HumanDuration(Duration::from_secs(600))
}
