//! The router: quick decisions are made where the request is, all others on threads of their own, behind a bounded queue.

pub mod pool;
mod pace;
mod queue;

use std::time::Duration;

use personaroute_bundle::manifest::TextEncoder;
use personaroute_host::{Decision, RouteError, RouteRequest, Router};

pub use self::pool::{Question, RoutePool};

/// Most candidates, and most bytes of text, of a decision that can be quick: with so many it takes 60 µs on one core.
const QUICK_CANDIDATES: usize = 100;
const QUICK_TEXT: usize = 2 << 10;

/// Time of a quick decision before it is given up: an order of magnitude more than it takes.
const QUICK: Duration = Duration::from_millis(1);

/// What ranks candidates: the plugin's router, or a stand-in in tests.
pub trait Scorer: Send + Sync + 'static {
    /// Returns whether the user has a profile.
    fn knows(&self, user: &str) -> bool;

    /// Ranks the candidates of one request; blocks.
    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError>;

    /// Ranks the candidates of one request at once, where that is quick as a rule; none: ask [`Self::route`].
    fn route_quickly(&self, _: &RouteRequest) -> Option<Result<Decision, RouteError>> {
        None
    }

    /// Ranks the candidates of many requests, one result each, in order; blocks.
    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>>;
}

impl Scorer for Router {
    fn knows(&self, user: &str) -> bool {
        self.profile(user).is_some()
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        self.route(request)
    }

    fn route_quickly(&self, request: &RouteRequest) -> Option<Result<Decision, RouteError>> {
        let is_lexical = matches!(self.bundle().manifest.text_encoder, TextEncoder::Lexical(_));
        let is_small = request.candidates.len() <= QUICK_CANDIDATES && request.text.len() <= QUICK_TEXT;
        (is_lexical && is_small).then(|| self.route_within(request, QUICK))
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }
}
