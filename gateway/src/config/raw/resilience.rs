//! Retries, hedging, circuit breakers and health checks, as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{duration::HumanDuration, located::Located};

/// How failed attempts are retried on other endpoints.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Most attempts of one request, the first included.
    pub attempts: Located<usize>,
    /// How often the ranking is tried: 1 tries each endpoint once, 2 starts again after a jittered pause.
    pub rounds: Located<u32>,
    /// Retries allowed for each request on average, over all requests.
    pub budget: Located<f32>,
    /// Upstream statuses that fail over to the next candidate.
    pub statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3.into(),
            rounds: 1.into(),
            budget: 0.2.into(),
            statuses: vec![408, 429, 500, 502, 503, 504, 529],
        }
    }
}

/// When a request is sent to a second endpoint because the first is slow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// If the first byte does not arrive within this time, the request is sent to the next endpoint as well.
    pub after: Located<HumanDuration>,
}

/// When the circuit of an endpoint opens, so that no request is sent to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Consecutive failures that open the circuit.
    pub failures: Located<u32>,
    /// How long the circuit stays open the first time; each further time twice as long.
    pub cooldown: Located<HumanDuration>,
    /// How long the circuit stays open at most, also if `retry-after` asks for more.
    pub max_cooldown: HumanDuration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5.into(), cooldown: HumanDuration::secs(5).into(), max_cooldown: HumanDuration::secs(120) }
    }
}

/// Health checks of an upstream between requests.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The path below the upstream's URL that is requested; a status of 200 to 299 is a success.
    pub path: Located<String>,
    /// Pause between two checks.
    #[serde(default = "interval")]
    pub interval: Located<HumanDuration>,
    /// Most time of a check.
    #[serde(default = "timeout")]
    pub timeout: Located<HumanDuration>,
    /// Consecutive failures after which no request is sent to the upstream.
    #[serde(default = "failures")]
    #[schemars(range(min = 1))]
    pub failures: Located<u32>,
    /// Consecutive successes after which one request is sent to the upstream.
    #[serde(default = "successes")]
    #[schemars(range(min = 1))]
    pub successes: Located<u32>,
}

fn interval() -> Located<HumanDuration> {
    HumanDuration::secs(10).into()
}

fn timeout() -> Located<HumanDuration> {
    HumanDuration::secs(2).into()
}

fn failures() -> Located<u32> {
    3.into()
}

fn successes() -> Located<u32> {
    2.into()
}
