//! What is known of a request's user, and what is kept of its decision.

use std::sync::Arc;

use super::{Proxy, Snapshot};
use crate::{
    decide::{Learned, Plan, Policy},
    learning::{Known, RoutedDecision, Target},
    routing::RouteJob,
};

/// What is known of a user.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    known: Option<Arc<Known>>,
    /// Why it may be missing or old.
    failure: Option<&'static str>,
}

impl Knowledge {
    /// Returns the job with the user's profile and preference.
    pub(super) fn applied(&self, mut job: RouteJob) -> RouteJob {
        if let Some(known) = &self.known {
            job.request.profile.clone_from(&known.profile);
            job.request.preference = job.request.preference.or(known.preference);
        }
        job
    }

    /// Returns what was learned of the user.
    pub(super) fn learned(&self) -> Option<Learned> {
        self.known.as_ref()?.learned
    }

    /// Returns why what is known may be missing or old.
    pub(super) fn failure(&self) -> Option<&'static str> {
        self.failure
    }
}

/// Explores, if the virtual model does and the router has ranked.
pub(super) fn explore(policy: &Policy, plan: &mut Plan) {
    if let Some(exploration) = policy.exploration
        && plan.fallback_reason.is_none()
    {
        exploration.apply(plan, standard_normal);
    }
}

/// Returns a standard normal number (Box and Muller's transformation).
fn standard_normal() -> f64 {
    let (radius, angle): (f64, f64) = (rand::random(), rand::random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Returns the router of `snapshot`, for profiles in its embedding space.
pub(super) fn target(snapshot: &Snapshot) -> Target {
    Target { scorer: Arc::clone(snapshot.routing.scorer()), bundle: Arc::clone(snapshot.routing.version()) }
}

impl Proxy {
    /// Returns what is known of `user`, for a request for the virtual model `model`.
    pub(super) async fn knowledge(&self, snapshot: &Snapshot, user: Option<&str>, model: &str) -> Knowledge {
        let (Some(learning), Some(user)) = (&self.learning, user) else { return Knowledge::default() };
        if snapshot.models.policy(model).is_none() {
            return Knowledge::default();
        }
        let (known, failure) = learning.known(user, &target(snapshot)).await;
        Knowledge { known, failure }
    }

    /// Keeps the decision of a user whose request `llm` answers.
    pub(super) fn keep_decision(
        &self,
        snapshot: &Snapshot,
        plan: Plan,
        user: Option<Arc<str>>,
        llm: Arc<str>,
        text: String,
    ) {
        let (Some(learning), Some(user)) = (&self.learning, user) else { return };
        let policy = plan.virtual_model.as_deref().and_then(|name| snapshot.models.policy(name));
        let exploration = policy.and_then(|policy| policy.exploration);
        learning.record(RoutedDecision { plan, exploration, user, llm, text, target: target(snapshot) });
    }
}
