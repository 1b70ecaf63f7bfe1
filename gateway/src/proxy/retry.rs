//! When a failed request is retried: a budget over all requests, and jittered backoff between rounds.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header};

/// The initial balance, so that a gateway with few requests can retry.
const INITIAL_BALANCE: f64 = 10.0;

/// The maximum balance, so that a quiet period does not allow a burst of retries.
const MAX_BALANCE: f64 = 100.0;

/// The first backoff; each round doubles it.
const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// The longest backoff, and the longest `retry-after` that the gateway waits for.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The retry budget: each request deposits a fraction of a retry, and each retry withdraws one.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    balance: Mutex<f64>,
}

impl RetryBudget {
    /// Returns a budget of `ratio` retries for each request.
    pub fn new(ratio: f32) -> Self {
        Self { ratio: f64::from(ratio), balance: Mutex::new(INITIAL_BALANCE) }
    }

    /// Deposits the share of one request.
    pub fn deposit(&self) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        *balance = (*balance + self.ratio).min(MAX_BALANCE);
    }

    /// Withdraws one retry; returns false if the budget is exhausted.
    pub fn withdraw(&self) -> bool {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let is_covered = *balance >= 1.0;
        if is_covered {
            *balance -= 1.0;
        }
        is_covered
    }

    /// Returns a retry that was not made.
    pub fn refund(&self) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        *balance = (*balance + 1.0).min(MAX_BALANCE);
    }
}

/// Returns the backoff before round `round` (from 1): exponential with full jitter.
pub(super) fn backoff(round: u32) -> Duration {
    let most = BASE_BACKOFF.saturating_mul(1 << round.saturating_sub(1).min(10)).min(MAX_BACKOFF);
    most.mul_f64(rand::random::<f64>())
}

/// Returns whether `wait` is short enough to wait for.
pub(super) fn is_short_enough(wait: Duration) -> bool {
    wait <= MAX_BACKOFF
}

/// Returns the wait that an upstream asks for: `retry-after` as seconds or a date, or OpenAI's `retry-after-ms`.
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
        assert_eq!(spent, 10, "the initial balance");
        budget.deposit();
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        budget.refund();
        assert!(budget.withdraw(), "a refund is available again");
        assert!(!budget.withdraw());
    }

    #[test]
    fn every_form_of_retry_after_is_parsed() {
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
    fn backoffs_have_a_maximum() {
        assert!((1..40).all(|round| backoff(round) <= MAX_BACKOFF));
    }
}
