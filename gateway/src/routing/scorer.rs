//! Ranks the candidates of requests: the interface, and its implementation by the plugin's router.

use std::time::Duration;

use personaroute_bundle::manifest::TextEncoder;
use personaroute_host::{Decision, RouteError, RouteRequest, Router};

/// Most candidates and most bytes of text of an inline decision. At these limits it takes 60 µs on one core.
const INLINE_MAX_CANDIDATES: usize = 100;
const INLINE_MAX_TEXT: usize = 2 << 10;

/// Deadline of an inline decision, ten times its usual duration. Each further decision of a batch adds a quarter.
const INLINE_DEADLINE: Duration = Duration::from_millis(1);

/// Ranks candidates: the plugin's router, or a fake in tests.
pub trait Scorer: Send + Sync + 'static {
    /// Returns whether the user has a profile.
    fn knows(&self, user: &str) -> bool;

    /// Ranks the candidates of one request; blocks.
    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError>;

    /// Ranks the candidates of many requests, one result each, in order; blocks.
    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>>;

    /// Returns whether the decision on this request is usually fast enough to run inline.
    fn can_run_inline(&self, _: &RouteRequest) -> bool {
        false
    }

    /// Ranks like [`Self::route_batch`], with the short deadline of inline decisions.
    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }
}

impl Scorer for Router {
    fn knows(&self, user: &str) -> bool {
        self.profile(user).is_some()
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        self.route(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }

    fn can_run_inline(&self, request: &RouteRequest) -> bool {
        let is_lexical = matches!(self.bundle().manifest.text_encoder, TextEncoder::Lexical(_));
        is_lexical && request.candidates.len() <= INLINE_MAX_CANDIDATES && request.text.len() <= INLINE_MAX_TEXT
    }

    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        match requests {
            [request] => vec![self.route_within(request, INLINE_DEADLINE)],
            requests => {
                let quarters = u32::try_from(requests.len()).unwrap_or(u32::MAX).saturating_add(3);
                self.route_batch_within(requests, INLINE_DEADLINE / 4 * quarters)
            }
        }
    }
}
