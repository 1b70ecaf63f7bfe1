//! The embeddable router: loads a model bundle, the routing plugin and ONNX Runtime.

#![warn(missing_docs)]

mod options;
mod profile;
mod request;

mod decision;
mod error;

pub use self::{
    decision::{Decision, Exclusion, Score, TaskGuess},
    error::{DecisionFault, OpenError, RouteError},
    options::{Limits, Provider, RouterOptions},
    profile::{Interaction, Profile, UserState},
    request::{Candidate, RouteRequest},
};
pub use personaroute_bundle as bundle;
