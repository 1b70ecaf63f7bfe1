//! How busy an endpoint is: requests in flight, weighed by a peak-sensitive average of the time to the first byte.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// After this long an old latency has lost most of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// What a first byte is taken to cost where one is awaited and none has come yet.
const UNKNOWN: Duration = Duration::from_secs(10);

/// The load of one endpoint.
#[derive(Debug, Default)]
pub struct Load(Mutex<Measured>);

#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    in_flight: u32,
    seconds: f64,
    at: Option<Instant>,
}

/// One request in flight; ends when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Load>);

impl Load {
    /// Counts a request until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.in_flight = measured.in_flight.saturating_add(1);
        drop(measured);
        InFlight(Arc::clone(self))
    }

    /// Returns the expected wait behind what is in flight; lower is better.
    pub fn cost(&self) -> f64 {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.at.is_none() && measured.in_flight > 0 {
            return UNKNOWN.as_secs_f64() * f64::from(measured.in_flight);
        }
        measured.seconds.max(1e-3) * f64::from(measured.in_flight + 1)
    }

    /// Notes the time to a first byte: a peak counts at once, relief only in time (peak EWMA, after Finagle).
    pub fn observe(&self, seconds: f64, now: Instant) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = measured.at.map_or(DECAY, |at| now.saturating_duration_since(at));
        measured.at = Some(now);
        let kept = (-age.as_secs_f64() / DECAY.as_secs_f64()).exp();
        let faded = measured.seconds * kept + seconds * (1.0 - kept);
        measured.seconds = seconds.max(faded);
        if seconds < faded {
            measured.seconds = faded;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut measured = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.in_flight = measured.in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_raise_the_cost_until_they_end() {
        let load = Arc::new(Load::default());
        let idle = load.cost();
        let request = load.begin();
        assert!(load.cost() > idle);
        drop(request);
        assert!((load.cost() - idle).abs() < f64::EPSILON);
    }

    #[test]
    fn a_peak_counts_at_once_and_relief_takes_time() {
        let (load, now) = (Load::default(), Instant::now());
        load.observe(0.1, now);
        load.observe(2.0, now);
        assert!(load.cost() >= 2.0);
        load.observe(0.1, now + Duration::from_secs(1));
        assert!(load.cost() > 1.0, "{}", load.cost());
        load.observe(0.1, now + Duration::from_secs(100));
        assert!(load.cost() < 0.2, "{}", load.cost());
    }
}
