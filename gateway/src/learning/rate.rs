//! How many signals a user may give in a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The window of the count.
const MINUTE: Duration = Duration::from_secs(60);

/// Most users whose counts are remembered; above it, those of past minutes are forgotten.
const USERS: usize = 100_000;

/// Counts signals of users.
#[derive(Debug)]
pub(super) struct SignalRate {
    most: u32,
    counts: Mutex<HashMap<String, (Instant, u32)>>,
}

impl SignalRate {
    /// Returns a rate of at most `most` signals of one user in a minute.
    pub(super) fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Counts a signal at `now`; returns when the next one is accepted if there were too many.
    pub(super) fn count(&self, user: &str, now: Instant) -> Result<(), Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= USERS {
            counts.retain(|_, (start, _)| now.saturating_duration_since(*start) < MINUTE);
        }
        let (start, count) = counts.entry(user.to_owned()).or_insert((now, 0));
        let elapsed = now.saturating_duration_since(*start);
        if elapsed >= MINUTE {
            (*start, *count) = (now, 0);
        }
        if *count >= self.most {
            return Err(MINUTE.saturating_sub(elapsed));
        }
        *count += 1;
        Ok(())
    }

    /// Forgets a user.
    pub(super) fn forget(&self, user: &str) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_signals_in_a_minute() {
        let (rate, now) = (SignalRate::new(2), Instant::now());
        assert_eq!([rate.count("a", now), rate.count("a", now)], [Ok(()), Ok(())]);
        assert_eq!(rate.count("a", now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(rate.count("b", now), Ok(()));
        assert_eq!(rate.count("a", now + MINUTE), Ok(()));
    }
}
