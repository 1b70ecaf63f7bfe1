//! The router, off the sockets' threads: decisions are made on threads of their own, behind a bounded queue.

pub mod pool;
mod queue;

use personaroute_host::{Decision, RouteError, RouteRequest, Router};

pub use self::pool::{Question, RoutePool};

/// What ranks candidates: the plugin's router, or a stand-in in tests.
pub trait Scorer: Send + Sync + 'static {
    /// Returns whether the user has a profile.
    fn knows(&self, user: &str) -> bool;

    /// Ranks the candidates of one request; blocks.
    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError>;

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

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }
}
