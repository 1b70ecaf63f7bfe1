//! Retries, hedging, circuit breakers and health checks.

use std::time::Duration;

use super::{
    error::Rejection,
    range::{amount, count, duration, value},
    raw,
};

/// How failed attempts are retried on other endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Most attempts of one request, the first included.
    pub attempts: usize,
    /// How often the ranking is tried.
    pub rounds: u32,
    /// Retries allowed for each request on average, over all requests.
    pub budget: f32,
    /// Upstream statuses that fail over to the next candidate.
    pub statuses: Vec<u16>,
}

/// When a request is sent to a second endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// If the first byte does not arrive within this time.
    pub after: Duration,
}

/// When the circuit of an endpoint opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Consecutive failures that open the circuit.
    pub failures: u32,
    /// How long the circuit stays open the first time.
    pub cooldown: Duration,
    /// How long the circuit stays open at most.
    pub max_cooldown: Duration,
}

/// Health checks of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The path below the upstream's URL.
    pub path: String,
    /// Pause between two checks.
    pub interval: Duration,
    /// Most time of a check.
    pub timeout: Duration,
    /// Consecutive failures that mark the upstream as unhealthy.
    pub failures: u32,
    /// Consecutive successes that mark it as healthy.
    pub successes: u32,
}

impl Retry {
    pub(super) fn check(raw: &raw::Retry) -> Result<Self, Rejection> {
        Ok(Self {
            attempts: count("retry.attempts", &raw.attempts)?,
            rounds: count("retry.rounds", &raw.rounds)?,
            budget: amount("retry.budget", &raw.budget)?,
            statuses: raw.statuses.clone(),
        })
    }
}

impl Hedge {
    pub(super) fn check(raw: &raw::Hedge) -> Result<Self, Rejection> {
        Ok(Self { after: duration("hedge.after", &raw.after)? })
    }
}

impl Breaker {
    pub(super) fn check(raw: &raw::Breaker) -> Result<Self, Rejection> {
        Ok(Self {
            failures: count("breaker.failures", &raw.failures)?,
            cooldown: duration("breaker.cooldown", &raw.cooldown)?,
            max_cooldown: raw.max_cooldown.0,
        })
    }
}

impl Probe {
    pub(super) fn check(raw: &raw::Probe) -> Result<Self, Rejection> {
        let is_path = raw.path.starts_with('/') && raw.path.parse::<http::uri::PathAndQuery>().is_ok();
        if !is_path {
            return Err(raw.path.reject(value("health.path", "must be a path that begins with /", &raw.path.value)));
        }
        Ok(Self {
            path: raw.path.value.clone(),
            interval: duration("health.interval", &raw.interval)?,
            timeout: duration("health.timeout", &raw.timeout)?,
            failures: count("health.failures", &raw.failures)?,
            successes: count("health.successes", &raw.successes)?,
        })
    }
}
