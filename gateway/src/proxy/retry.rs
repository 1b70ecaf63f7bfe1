//! Whether, and when, a failed request is tried again: a budget for all requests, jittered pauses between rounds.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header};

/// Retries that are always allowed, so that a quiet gateway can retry at all.
const INITIAL_BALANCE: f64 = 10.0;

/// Most retries that can be saved up, so that a long calm does not pay for a storm.
const MAX_BALANCE: f64 = 100.0;

/// First pause; each round doubles it.
const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// Longest pause, and the longest `retry-after` that is waited for rather than passed on.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The retry budget: each request earns a fraction of a retry, each retry costs a whole one.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    balance: Mutex<f64>,
}

impl RetryBudget {
    /// Returns a budget that allows `ratio` retries for each request.
    pub fn new(ratio: f32) -> Self {
        Self { ratio: f64::from(ratio), balance: Mutex::new(INITIAL_BALANCE) }
    }

    /// Notes a request.
    pub fn deposit(&self) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        *balance = (*balance + self.ratio).min(MAX_BALANCE);
    }

    /// Takes a retry out of the budget; false when it is used up.
    pub fn withdraw(&self) -> bool {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let is_covered = *balance >= 1.0;
        if is_covered {
            *balance -= 1.0;
        }
        is_covered
    }

    /// Puts a retry back that was not made.
    pub fn refund(&self) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        *balance = (*balance + 1.0).min(MAX_BALANCE);
    }
}

/// Returns the pause before round `round` (from 1), between nothing and the doubled pause ("full jitter").
pub(super) fn backoff(round: u32) -> Duration {
    let most = BASE_BACKOFF.saturating_mul(1 << round.saturating_sub(1).min(10)).min(MAX_BACKOFF);
    most.mul_f64(rand::random::<f64>())
}

/// Returns whether `wait` is short enough to wait for.
pub(super) fn is_short_enough(wait: Duration) -> bool {
    wait <= MAX_BACKOFF
}

/// Returns how long an upstream asks to be left alone: `retry-after` in seconds or as a date, or OpenAI's milliseconds.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1e3).ok();
    }
    let written = text(header::RETRY_AFTER.as_str())?;
    match written.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => httpdate::parse_http_date(written).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_limited_to_a_share_of_requests() {
        let budget = RetryBudget::new(0.5);
        let spent = (0..20).filter(|_| budget.withdraw()).count();
        assert_eq!(spent, 10, "the reserve");
        budget.deposit();
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        budget.refund();
        assert!(budget.withdraw(), "what was not made costs nothing");
        assert!(!budget.withdraw());
    }

    #[test]
    fn every_spelling_of_retry_after_is_read() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(read("retry-after", "17"), Some(Duration::from_secs(17)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(read("retry-after", "Thu, 01 Jan 1970 00:00:09 GMT"), Some(Duration::from_secs(9)));
        for odd in ["-1", "soon", "inf"] {
            assert_eq!(read("retry-after", odd), None, "{odd}");
        }
    }

    #[test]
    fn pauses_stay_below_the_longest() {
        assert!((1..40).all(|round| backoff(round) <= MAX_BACKOFF));
    }
}
