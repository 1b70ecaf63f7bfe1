//! The attempts of one request so far: where they went, how many failed, and how the hedge ended.

use std::{sync::Arc, time::Duration};

use crate::upstream::Endpoint;

/// The attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    endpoint: Option<Arc<Endpoint>>,
    in_flight: usize,
    failed: usize,
    hedge: Option<Hedge>,
    first_byte: Duration,
}

/// How a hedged request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hedge {
    /// Neither attempt succeeded.
    Failed,
    /// The first attempt was faster after all.
    Lost,
    /// The second attempt was faster.
    Won,
}

impl Hedge {
    /// Returns the result as a label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Won => "won",
        }
    }
}

impl Attempts {
    /// Records that an attempt at `endpoint` starts.
    pub(super) fn start(&mut self, endpoint: &Arc<Endpoint>) {
        self.select(endpoint);
        self.in_flight += 1;
    }

    /// Records that an attempt failed.
    pub(super) fn fail(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.failed += 1;
    }

    /// Makes `endpoint` the one that the response comes from.
    pub(super) fn select(&mut self, endpoint: &Arc<Endpoint>) {
        self.endpoint = Some(Arc::clone(endpoint));
    }

    /// Records the time to the first byte of the response.
    pub(super) fn set_first_byte(&mut self, first_byte: Duration) {
        self.first_byte = first_byte;
    }

    /// Records how the hedge ended, so far.
    pub(super) fn set_hedge(&mut self, hedge: Hedge) {
        self.hedge = Some(hedge);
    }

    /// Returns the endpoint of the response, or else of the last attempt.
    pub(super) fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.endpoint.as_ref()
    }

    /// Returns whether an attempt waits for its response.
    pub(super) fn is_waiting(&self) -> bool {
        self.in_flight > 0
    }

    /// Returns the number of failed attempts.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Returns how the hedge ended; none if the request was not hedged.
    pub(super) fn hedge(&self) -> Option<Hedge> {
        self.hedge
    }

    /// Returns the time to the first byte of the response; zero without one.
    pub(super) fn first_byte(&self) -> Duration {
        self.first_byte
    }
}
