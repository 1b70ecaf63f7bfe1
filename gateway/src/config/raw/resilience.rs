//! What is done about upstreams that fail or are slow, as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::duration;

/// How failed attempts are repeated elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Most attempts of one request, the first included.
    pub attempts: usize,
    /// How often the ranking is walked: 1 tries each endpoint once, 2 begins again after a jittered pause.
    pub rounds: u32,
    /// Retries allowed for each request on average, over all requests.
    pub budget: f32,
    /// Upstream statuses that move on to the next candidate.
    pub statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, rounds: 1, budget: 0.2, statuses: vec![408, 429, 500, 502, 503, 504, 529] }
    }
}

/// When a second place is asked because the first is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first byte is waited for before the next endpoint or LLM is asked too.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub after: Duration,
}

/// When an upstream that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// First cool-down; each further one is twice as long.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub cooldown: Duration,
    /// Longest cool-down, also of those that `retry-after` asks for.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub max_cooldown: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, cooldown: Duration::from_secs(5), max_cooldown: Duration::from_secs(120) }
    }
}

/// How an upstream is asked whether it is well, between requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is got, below the upstream's URL; a status of 200 to 299 means well.
    pub path: String,
    /// Pause between two probes.
    #[serde(default = "interval", with = "duration")]
    #[schemars(with = "duration::Written")]
    pub interval: Duration,
    /// Most time of a probe.
    #[serde(default = "timeout", with = "duration")]
    #[schemars(with = "duration::Written")]
    pub timeout: Duration,
    /// Failed probes in a row after which no request is sent there.
    #[serde(default = "failures")]
    #[schemars(range(min = 1))]
    pub failures: u32,
    /// Good probes in a row after which one request is.
    #[serde(default = "successes")]
    #[schemars(range(min = 1))]
    pub successes: u32,
}

fn interval() -> Duration {
    Duration::from_secs(10)
}

fn timeout() -> Duration {
    Duration::from_secs(2)
}

fn failures() -> u32 {
    3
}

fn successes() -> u32 {
    2
}
