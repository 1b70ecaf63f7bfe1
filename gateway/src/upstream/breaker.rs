//! The circuit breaker of one upstream or endpoint: closed, open for a cool-down, then half-open for one trial request.
//!
//! Every method takes the time, so that tests cover each transition without waiting.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::Breaker as Settings;

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    state: Mutex<State>,
    /// Whether `state` differs from its default. While it does not, requests skip the lock.
    is_active: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Consecutive failures before a response started.
    failures: u32,
    /// Consecutive responses that started and were truncated.
    stream_failures: u32,
    /// Openings since the last success; each one doubles the cool-down.
    consecutive_openings: u32,
    /// When the circuit is open, the end of its cool-down.
    open_until: Option<Instant>,
    /// When the circuit is half-open and a trial request is in flight, the start of that request.
    trial_since: Option<Instant>,
    /// Whether active health checks fail. The circuit then stays open until they pass.
    is_unhealthy: bool,
}

/// The state of the circuit for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// The request may be sent.
    Closed,
    /// The request may be sent, as the trial that decides whether the circuit closes.
    HalfOpen,
    /// The request must not be sent for this long.
    Open(Duration),
}

impl Breaker {
    /// Returns a breaker whose circuit is closed.
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: Mutex::default(), is_active: AtomicBool::new(false) }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether the last active health checks failed.
    pub fn is_unhealthy(&self) -> bool {
        self.lock().is_unhealthy
    }

    /// Returns whether a request may be sent at `now`. After a cool-down, one caller becomes the trial request.
    pub fn try_acquire(&self, now: Instant) -> Circuit {
        if !self.is_active() {
            return Circuit::Closed;
        }
        self.change(|state| {
            if state.is_unhealthy {
                return Circuit::Open(self.settings.cooldown);
            }
            let Some(open_until) = state.open_until else {
                return Circuit::Closed;
            };
            if now < open_until {
                return Circuit::Open(open_until - now);
            }
            // A trial that never reports, for example because its client disconnected, must not keep the circuit open.
            let trial_timeout = self.settings.cooldown;
            match state.trial_since {
                Some(since) if now < since + trial_timeout => Circuit::Open(since + trial_timeout - now),
                _ => {
                    state.trial_since = Some(now);
                    Circuit::HalfOpen
                }
            }
        })
    }

    /// Releases the trial that [`Self::try_acquire`] has just granted, because the request was not sent.
    pub fn release_trial(&self) {
        self.reset(|state| state.trial_since = None);
    }

    /// Records that a response started, which ends a trial. [`Self::record_success`] and [`Self::record_stream_failure`]
    /// record how the response ended.
    pub fn record_response_start(&self) {
        self.reset(|state| {
            if state.trial_since.is_some() {
                state.close();
            } else if state.open_until.is_none() {
                state.failures = 0;
            }
        });
    }

    /// Records a response that completed.
    pub fn record_success(&self) {
        self.reset(|state| {
            // The response started before the failures that opened the circuit: it does not close it.
            let has_opened_since = state.open_until.is_some() && state.trial_since.is_none();
            if !has_opened_since {
                state.close();
            }
        });
    }

    /// Opens the circuit because health checks fail, until [`Self::mark_healthy`].
    pub fn mark_unhealthy(&self) {
        self.change(|state| state.is_unhealthy = true);
    }

    /// Makes the circuit half-open at `now` because health checks pass again.
    pub fn mark_healthy(&self, now: Instant) {
        self.change(|state| {
            if state.is_unhealthy {
                state.is_unhealthy = false;
                state.open_until.get_or_insert(now);
            }
        });
    }

    /// Records at `now` a request whose response did not start.
    pub fn record_failure(&self, now: Instant) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            self.record_result(state, now);
        });
    }

    /// Records at `now` a response that was truncated.
    pub fn record_stream_failure(&self, now: Instant) {
        self.change(|state| {
            state.stream_failures = state.stream_failures.saturating_add(1);
            self.record_result(state, now);
        });
    }

    /// Opens the circuit if the failed request was the trial, or if the threshold is reached.
    fn record_result(&self, state: &mut State, now: Instant) {
        let was_trial = state.trial_since.take().is_some();
        let is_threshold_reached = state.failures.max(state.stream_failures) >= self.settings.failures;
        if was_trial || (state.open_until.is_none() && is_threshold_reached) {
            let cooldown = self.settings.cooldown.saturating_mul(1 << state.consecutive_openings.min(16));
            state.open_until = Some(now + cooldown.min(self.settings.max_cooldown));
            state.consecutive_openings = state.consecutive_openings.saturating_add(1);
        }
    }

    /// Opens the circuit at `now` for `wait`, as a `retry-after` header asks, at most for the maximum cool-down.
    pub fn open_for(&self, now: Instant, wait: Duration) {
        let open_until = now + wait.min(self.settings.max_cooldown);
        self.change(|state| {
            state.open_until = Some(state.open_until.map_or(open_until, |earlier| earlier.max(open_until)));
            state.trial_since = None;
        });
    }

    fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// Applies `update`, which only removes failures; without any it takes no lock.
    fn reset(&self, update: impl FnOnce(&mut State)) {
        if self.is_active() {
            self.change(update);
        }
    }

    fn change<T>(&self, update: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = update(&mut state);
        self.is_active.store(*state != State::default(), Ordering::Relaxed);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the circuit and clears the counters, but keeps the result of the health checks.
    fn close(&mut self) {
        *self = Self { is_unhealthy: self.is_unhealthy, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(Settings { failures: 2, cooldown: 10 * SECOND, max_cooldown: 15 * SECOND })
    }

    #[test]
    fn consecutive_failures_open_the_circuit_and_a_success_resets_the_count() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.record_failure(now);
        breaker.record_success();
        breaker.record_failure(now);
        assert_eq!(breaker.try_acquire(now), Circuit::Closed);
        breaker.record_failure(now);
        assert_eq!(breaker.try_acquire(now + SECOND), Circuit::Open(9 * SECOND));
    }

    #[test]
    fn after_the_cooldown_one_trial_request_decides() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.record_failure(now);
        breaker.record_failure(now);
        let later = now + 10 * SECOND;
        assert_eq!(breaker.try_acquire(later), Circuit::HalfOpen);
        assert_eq!(breaker.try_acquire(later), Circuit::Open(10 * SECOND), "one trial at a time");
        breaker.record_failure(later);
        assert_eq!(breaker.try_acquire(later), Circuit::Open(15 * SECOND), "doubled, up to the maximum");
        assert_eq!(breaker.try_acquire(later + 15 * SECOND), Circuit::HalfOpen);
        breaker.record_success();
        assert_eq!(breaker.try_acquire(later + 15 * SECOND), Circuit::Closed);
    }

    #[test]
    fn a_started_response_ends_a_trial_and_resets_the_connect_failures_only() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.record_failure(now);
        breaker.record_response_start();
        breaker.record_failure(now);
        assert_eq!(breaker.try_acquire(now), Circuit::Closed, "a response started in between");
        breaker.record_stream_failure(now);
        breaker.record_response_start();
        breaker.record_stream_failure(now);
        assert_eq!(breaker.try_acquire(now), Circuit::Open(10 * SECOND), "two truncated responses in a row");
        assert_eq!(breaker.try_acquire(now + 10 * SECOND), Circuit::HalfOpen);
        breaker.record_response_start();
        assert_eq!(breaker.try_acquire(now + 10 * SECOND), Circuit::Closed);
    }

    #[test]
    fn a_response_that_started_before_the_circuit_opened_does_not_close_it() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.open_for(now, 10 * SECOND);
        breaker.record_success();
        assert_eq!(breaker.try_acquire(now), Circuit::Open(10 * SECOND));
    }

    #[test]
    fn a_trial_that_never_reports_is_replaced() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.record_failure(now);
        breaker.record_failure(now);
        assert_eq!(breaker.try_acquire(now + 10 * SECOND), Circuit::HalfOpen);
        assert_eq!(breaker.try_acquire(now + 20 * SECOND), Circuit::HalfOpen);
    }

    #[test]
    fn a_released_trial_is_granted_again() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.open_for(now, SECOND);
        assert_eq!(breaker.try_acquire(now + SECOND), Circuit::HalfOpen);
        breaker.release_trial();
        assert_eq!(breaker.try_acquire(now + SECOND), Circuit::HalfOpen);
    }

    #[test]
    fn an_unhealthy_upstream_is_open_until_health_checks_pass_and_then_half_open() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.mark_unhealthy();
        breaker.record_success();
        assert!(matches!(breaker.try_acquire(now + 3600 * SECOND), Circuit::Open(_)), "only health checks end it");
        breaker.mark_healthy(now);
        assert_eq!(breaker.try_acquire(now), Circuit::HalfOpen);
        assert!(matches!(breaker.try_acquire(now), Circuit::Open(_)), "one request at a time");
        breaker.record_success();
        assert_eq!((breaker.try_acquire(now), breaker.try_acquire(now)), (Circuit::Closed, Circuit::Closed));
    }

    #[test]
    fn passing_health_checks_do_not_shorten_a_cooldown_that_requests_caused() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.record_failure(now);
        breaker.record_failure(now);
        breaker.mark_healthy(now);
        assert_eq!(breaker.try_acquire(now + SECOND), Circuit::Open(9 * SECOND));
    }

    #[test]
    fn retry_after_opens_the_circuit_up_to_the_maximum_cooldown() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.open_for(now, 3 * SECOND);
        assert_eq!(breaker.try_acquire(now), Circuit::Open(3 * SECOND));
        breaker.open_for(now, 3600 * SECOND);
        assert_eq!(breaker.try_acquire(now), Circuit::Open(15 * SECOND));
    }
}
