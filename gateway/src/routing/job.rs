//! A routing job and its result, wherever the job runs.

use personaroute_host::{Decision, RouteError, RouteRequest};

use super::Scorer;

/// A request to route.
#[derive(Debug, Clone)]
pub struct RouteJob {
    /// The request.
    pub request: RouteRequest,
    /// The virtual model's preference, used if the request declares none and the user has no profile.
    pub preference: Option<f32>,
}

/// The decision, or the reason why there is none.
pub(super) type RouteResult = Result<Decision, RouteError>;

/// Sets the virtual model's preference unless the request declares one or the router knows the user.
pub(super) fn apply_default_preference(scorer: &dyn Scorer, job: &mut RouteJob) {
    let request = &mut job.request;
    let needs_default = request.preference.is_none() && request.profile.is_none() && job.preference.is_some();
    if needs_default && !request.user.as_deref().is_some_and(|user| scorer.knows(user)) {
        request.preference = job.preference;
    }
}

pub(super) fn panic_error() -> RouteError {
    RouteError::Plugin("the router panicked".to_owned())
}
