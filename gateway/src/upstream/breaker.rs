//! The circuit breaker of one upstream: closed, open for a while, then half open for one probe.
//!
//! Time is handed in, so that every transition can be tested without waiting.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::Breaker as Settings;

/// A breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    state: Mutex<State>,
    /// Whether the state says anything: most of the time all is well, and nobody need take turns to see that.
    is_troubled: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Failures in a row before an answer began.
    failures: u32,
    /// Answers in a row that began and broke off.
    breaks: u32,
    /// How often it opened without a success between.
    openings: u32,
    /// Closed to requests until then.
    until: Option<Instant>,
    /// One request is out to see whether the upstream is back.
    probing: Option<Instant>,
    /// Probes between requests find it ill; no request is sent until they find it well.
    is_ill: bool,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may not, for this long.
    Shut(Duration),
}

impl Breaker {
    /// Returns a closed breaker.
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: Mutex::default(), is_troubled: AtomicBool::new(false) }
    }

    /// Returns what it goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether probes between requests found the upstream ill last.
    pub fn is_ill(&self) -> bool {
        self.lock().is_ill
    }

    /// Returns whether a request may be sent at `now`; after a cool-down one request may, as a probe.
    pub fn enter(&self, now: Instant) -> Gate {
        if !self.is_troubled() {
            return Gate::Open;
        }
        self.change(|state| {
            if state.is_ill {
                return Gate::Shut(self.settings.cooldown);
            }
            let Some(until) = state.until else {
                return Gate::Open;
            };
            if now < until {
                return Gate::Shut(until - now);
            }
            // A probe that never reports, as when its client left, must not shut the upstream out for ever.
            let patience = self.settings.cooldown;
            match state.probing {
                Some(since) if now < since + patience => Gate::Shut(since + patience - now),
                _ => {
                    state.probing = Some(now);
                    Gate::Open
                }
            }
        })
    }

    /// Gives the probe's place back that [`Self::enter`] has just given: the request was not sent.
    pub fn leave(&self) {
        self.change(|state| state.probing = None);
    }

    /// Returns whether the upstream is shut out at `now`, without taking the probe's place.
    pub fn is_shut(&self, now: Instant) -> bool {
        let state = self.lock();
        state.is_ill || state.until.is_some_and(|until| now < until)
    }

    /// Notes that an answer has begun: that decides a probe. Whether it breaks off shows at its end.
    pub fn began(&self) {
        self.ease(|state| {
            if state.probing.is_some() {
                state.close();
            } else if state.until.is_none() {
                state.failures = 0;
            }
        });
    }

    /// Notes an answer that ended well.
    pub fn succeeded(&self) {
        self.ease(|state| {
            // An answer that was long under way is older news than what has shut the upstream out since.
            let is_shut_out = state.until.is_some() && state.probing.is_none();
            if !is_shut_out {
                state.close();
            }
        });
    }

    /// Notes that probes find the upstream ill: nothing is sent there until [`Self::recovered`].
    pub fn ailed(&self) {
        self.change(|state| state.is_ill = true);
    }

    /// Notes at `now` that probes find the upstream well again: half open, one request decides about the others.
    pub fn recovered(&self, now: Instant) {
        self.change(|state| {
            if state.is_ill {
                state.is_ill = false;
                state.until.get_or_insert(now);
            }
        });
    }

    /// Notes at `now` that no answer began.
    pub fn failed(&self, now: Instant) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            self.judge(state, now);
        });
    }

    /// Notes at `now` that an answer broke off.
    pub fn broke(&self, now: Instant) {
        self.change(|state| {
            state.breaks = state.breaks.saturating_add(1);
            self.judge(state, now);
        });
    }

    fn judge(&self, state: &mut State, now: Instant) {
        let was_probe = state.probing.take().is_some();
        let are_many = state.failures.max(state.breaks) >= self.settings.failures;
        if was_probe || (state.until.is_none() && are_many) {
            let cooldown = self.settings.cooldown.saturating_mul(1 << state.openings.min(16));
            state.until = Some(now + cooldown.min(self.settings.max_cooldown));
            state.openings = state.openings.saturating_add(1);
        }
    }

    /// Keeps requests away for `wait` from `now`, as the upstream asked; never longer than the longest cool-down.
    pub fn cool(&self, now: Instant, wait: Duration) {
        let until = now + wait.min(self.settings.max_cooldown);
        self.change(|state| {
            state.until = Some(state.until.map_or(until, |earlier| earlier.max(until)));
            state.probing = None;
        });
    }

    fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Changes a state for the better, if it says anything.
    fn ease(&self, what: impl FnOnce(&mut State)) {
        if self.is_troubled() {
            self.change(what);
        }
    }

    fn change<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let told = what(&mut state);
        self.is_troubled.store(*state != State::default(), Ordering::Relaxed);
        told
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets all failures, but not what probes between requests have found.
    fn close(&mut self) {
        *self = Self { is_ill: self.is_ill, ..Self::default() };
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
    fn failures_in_a_row_shut_and_a_success_between_does_not() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        assert_eq!(breaker.enter(now), Gate::Open);
        breaker.failed(now);
        assert_eq!(breaker.enter(now + SECOND), Gate::Shut(9 * SECOND));
    }

    #[test]
    fn after_the_cooldown_one_probe_passes_and_decides() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.failed(now);
        let later = now + 10 * SECOND;
        assert_eq!(breaker.enter(later), Gate::Open);
        assert_eq!(breaker.enter(later), Gate::Shut(10 * SECOND), "one probe at a time");
        breaker.failed(later);
        assert_eq!(breaker.enter(later), Gate::Shut(15 * SECOND), "doubled, up to the longest");
        assert_eq!(breaker.enter(later + 15 * SECOND), Gate::Open);
        breaker.succeeded();
        assert_eq!(breaker.enter(later + 15 * SECOND), Gate::Open);
    }

    #[test]
    fn the_beginning_of_an_answer_decides_a_probe_and_nothing_else() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.began();
        breaker.failed(now);
        assert_eq!(breaker.enter(now), Gate::Open, "an answer began between");
        breaker.broke(now);
        breaker.began();
        breaker.broke(now);
        assert_eq!(breaker.enter(now), Gate::Shut(10 * SECOND), "two answers that broke off, one after the other");
        assert_eq!(breaker.enter(now + 10 * SECOND), Gate::Open);
        breaker.began();
        assert_eq!(breaker.enter(now + 10 * SECOND), Gate::Open);
    }

    #[test]
    fn an_answer_that_ends_late_does_not_let_requests_back_in() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.cool(now, 10 * SECOND);
        breaker.succeeded();
        assert_eq!(breaker.enter(now), Gate::Shut(10 * SECOND));
    }

    #[test]
    fn a_probe_that_never_reports_is_replaced() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.failed(now);
        assert_eq!(breaker.enter(now + 10 * SECOND), Gate::Open);
        assert_eq!(breaker.enter(now + 20 * SECOND), Gate::Open);
    }

    #[test]
    fn a_probes_place_that_is_given_back_is_free() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.cool(now, SECOND);
        assert_eq!(breaker.enter(now + SECOND), Gate::Open);
        breaker.leave();
        assert_eq!(breaker.enter(now + SECOND), Gate::Open);
    }

    #[test]
    fn an_ill_upstream_is_shut_until_it_recovers_and_then_half_open() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.ailed();
        breaker.succeeded();
        assert!(matches!(breaker.enter(now + 3600 * SECOND), Gate::Shut(_)), "only probes bring it back");
        breaker.recovered(now);
        assert_eq!(breaker.enter(now), Gate::Open);
        assert!(matches!(breaker.enter(now), Gate::Shut(_)), "one request at a time");
        breaker.succeeded();
        assert_eq!((breaker.enter(now), breaker.enter(now)), (Gate::Open, Gate::Open));
    }

    #[test]
    fn good_probes_do_not_shorten_a_cooldown_that_requests_caused() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.failed(now);
        breaker.recovered(now);
        assert_eq!(breaker.enter(now + SECOND), Gate::Shut(9 * SECOND));
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.cool(now, 3 * SECOND);
        assert_eq!(breaker.enter(now), Gate::Shut(3 * SECOND));
        breaker.cool(now, 3600 * SECOND);
        assert_eq!(breaker.enter(now), Gate::Shut(15 * SECOND));
        assert!(breaker.is_shut(now));
    }
}
