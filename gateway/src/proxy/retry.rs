//! When a failed request is retried: a budget over all requests, and jittered backoff between rounds.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header};
use tower::retry::budget::{Budget, TpsBudget};

/// How long a request counts towards the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Retries per second that the budget allows in addition, so that a gateway with few requests can retry.
const MIN_RETRIES_PER_SECOND: u32 = 1;

/// The first backoff; each round doubles it.
const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// The longest backoff, and the longest `retry-after` that the gateway waits for.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The retry budget: retries are limited to a share of the requests of the last seconds.
pub struct RetryBudget(TpsBudget);

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget").finish_non_exhaustive()
    }
}

impl RetryBudget {
    /// Returns a budget of `ratio` retries for each request.
    pub fn new(ratio: f32) -> Self {
        Self(TpsBudget::new(BUDGET_WINDOW, MIN_RETRIES_PER_SECOND, ratio))
    }

    /// Deposits the share of one request.
    pub(super) fn deposit(&self) {
        self.0.deposit();
    }

    /// Withdraws one retry; returns false if the budget is exhausted.
    pub(super) fn withdraw(&self) -> bool {
        self.0.withdraw()
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
    fn retries_are_limited_to_a_share_of_the_requests() {
        let budget = RetryBudget::new(0.5);
        let available = || std::iter::repeat_with(|| budget.withdraw()).take_while(|is_granted| *is_granted).count();
        let reserve = available();
        (0..20).for_each(|_| budget.deposit());
        assert_eq!((reserve, available()), (10, 10));
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
