//! What a router is asked and what it answers, on whichever thread.

use personaroute_host::{Decision, RouteError, RouteRequest};

use super::Scorer;

/// A request to route, with the preference of users the router does not know.
#[derive(Debug, Clone)]
pub struct RouteJob {
    /// What is asked.
    pub request: RouteRequest,
    /// The preference when the request declares none and its user has no profile.
    pub preference: Option<f32>,
}

/// The candidates, ranked, or why they are not.
pub(super) type RouteResult = Result<Decision, RouteError>;

/// A virtual model's preference is for users the router knows nothing about.
pub(super) fn apply_default_preference(scorer: &dyn Scorer, job: &mut RouteJob) {
    let request = &mut job.request;
    let is_open = request.preference.is_none() && job.preference.is_some();
    if is_open && !request.user.as_deref().is_some_and(|user| scorer.knows(user)) {
        request.preference = job.preference;
    }
}

pub(super) fn panic_error() -> RouteError {
    RouteError::Plugin("the router panicked".to_owned())
}
