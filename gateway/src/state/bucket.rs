//! A token bucket that holds one minute's worth and may be overdrawn. Time is passed in.

use std::time::{Duration, Instant};

/// Tolerance of the level's rounding errors.
const EPSILON: f64 = 1e-9;

/// The bucket of one rate limit. It may be overdrawn by usage that the estimate did not foresee.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// None without a limit: a limit that a reload adds starts with a full minute, whatever was used before.
    level: Option<f64>,
    refilled: Instant,
}

impl Bucket {
    /// Returns a full bucket.
    pub(super) fn full(per_minute: Option<u32>, now: Instant) -> Self {
        Self { level: per_minute.map(f64::from), refilled: now }
    }

    /// Refills the bucket and returns the wait until `amount` is available. A full bucket serves any amount: a request
    /// larger than the limit could otherwise never pass.
    pub(super) fn refill_and_wait(&mut self, amount: f64, per_minute: Option<u32>, now: Instant) -> Option<Duration> {
        let Some(capacity) = per_minute.map(f64::from) else {
            self.level = None;
            return None;
        };
        let minutes = now.saturating_duration_since(self.refilled).as_secs_f64() / 60.0;
        let level = self.level.map_or(capacity, |level| (level + minutes * capacity).min(capacity));
        (self.level, self.refilled) = (Some(level), now);
        let missing = amount.min(capacity) - level;
        (missing > EPSILON).then(|| Duration::from_secs_f64((missing / capacity * 60.0).clamp(0.001, 3_600.0)))
    }

    /// Adds `amount` to the bucket, or removes it when negative, if the request's quota had a limit.
    pub(super) fn add(&mut self, amount: f64, per_minute: Option<u32>) {
        if let Some(level) = self.level.as_mut().filter(|_| per_minute.is_some()) {
            *level += amount;
        }
    }
}
