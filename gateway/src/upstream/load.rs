//! The load of an endpoint: requests in flight times the peak EWMA of the time to the first byte (after Finagle).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The decay time of the EWMA: after it, a measurement has lost 63 % of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// The latency assumed while the first request of an endpoint waits for its first byte.
const UNMEASURED: Duration = Duration::from_secs(10);

/// The lowest latency that is assumed.
const MIN_LATENCY: Duration = Duration::from_millis(1);

/// The load of one endpoint.
#[derive(Debug, Default)]
pub struct Load(Mutex<Measured>);

#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    in_flight: u32,
    seconds: f64,
    at: Option<Instant>,
    /// Requests that wait for their first byte.
    waiting: u32,
}

/// One request in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    load: Arc<Load>,
    is_waiting: bool,
}

impl Load {
    /// Counts a request until the guard is dropped.
    pub fn start_request(self: &Arc<Self>) -> InFlight {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.in_flight = measured.in_flight.saturating_add(1);
        measured.waiting = measured.waiting.saturating_add(1);
        drop(measured);
        InFlight { load: Arc::clone(self), is_waiting: true }
    }

    /// Returns the expected wait at `now`; lower is better. A measurement decays with its age, so that one slow response
    /// does not exclude an endpoint for good. It does not decay while a request waits for its first byte, so that one
    /// request measures the endpoint again, not all of them.
    pub fn cost(&self, now: Instant) -> f64 {
        let measured = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = measured.at else {
            let known = if measured.in_flight > 0 { UNMEASURED } else { MIN_LATENCY };
            return known.as_secs_f64() * f64::from(measured.in_flight.max(1));
        };
        let kept = if measured.waiting > 0 { 1.0 } else { remaining_weight(now.saturating_duration_since(at)) };
        (measured.seconds * kept).max(MIN_LATENCY.as_secs_f64()) * f64::from(measured.in_flight.saturating_add(1))
    }

    /// Records the time to a first byte. A higher value replaces the average at once; a lower one moves it slowly.
    pub fn observe(&self, seconds: f64, now: Instant) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = measured.at.map_or(DECAY, |at| now.saturating_duration_since(at));
        measured.at = Some(now);
        let kept = remaining_weight(age);
        let faded = measured.seconds * kept + seconds * (1.0 - kept);
        measured.seconds = seconds.max(faded);
        if seconds < faded {
            measured.seconds = faded;
        }
    }
}

impl InFlight {
    /// Records that the first byte arrived.
    pub fn record_first_byte(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            let mut measured = self.load.0.lock().unwrap_or_else(PoisonError::into_inner);
            measured.waiting = measured.waiting.saturating_sub(1);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.record_first_byte();
        let mut measured = self.load.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.in_flight = measured.in_flight.saturating_sub(1);
    }
}

/// Returns the weight of a measurement of this age.
fn remaining_weight(age: Duration) -> f64 {
    (-age.as_secs_f64() / DECAY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_raise_the_cost_until_they_end() {
        let (load, now) = (Arc::new(Load::default()), Instant::now());
        let idle = load.cost(now);
        let request = load.start_request();
        assert!(load.cost(now) > idle);
        drop(request);
        assert!((load.cost(now) - idle).abs() < f64::EPSILON);
    }

    #[test]
    fn a_peak_counts_at_once_and_recovery_takes_time() {
        let (load, now) = (Load::default(), Instant::now());
        load.observe(0.1, now);
        load.observe(2.0, now);
        assert!(load.cost(now) >= 2.0);
        let now = now + Duration::from_secs(1);
        load.observe(0.1, now);
        assert!(load.cost(now) > 1.0, "{}", load.cost(now));
        let now = now + Duration::from_secs(99);
        load.observe(0.1, now);
        assert!(load.cost(now) < 0.2, "{}", load.cost(now));
    }

    #[test]
    fn an_old_peak_decays_while_no_request_waits_and_one_request_measures_again() {
        let (load, now) = (Arc::new(Load::default()), Instant::now());
        load.observe(2.0, now);
        let later = now + Duration::from_secs(60);
        let fresh = load.cost(now);
        assert!(load.cost(later) < 0.1, "{}", load.cost(later));
        let trial = load.start_request();
        assert!(load.cost(later) > fresh, "no second request before the first one has measured");
        load.observe(0.1, later);
        assert!(load.cost(later) < 0.5, "{}", load.cost(later));
        drop(trial);
        let mut stream = load.start_request();
        stream.record_first_byte();
        let failed = load.start_request();
        drop(failed);
        assert!(load.cost(later + Duration::from_secs(60)) < 0.1, "no request waits for its first byte");
    }
}
