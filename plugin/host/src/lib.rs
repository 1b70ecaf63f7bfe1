//! The embeddable router: loads a model bundle, the routing plugin and ONNX Runtime.

#![warn(missing_docs)]

mod options;
mod profile;
mod request;

mod router;

mod component;
mod context;
mod engine;
mod import;
mod services;

pub mod encoder;
pub mod infer;

mod check;
mod decision;
mod error;

pub use personaroute_bundle as bundle;

pub use self::{
    decision::{Decision, Exclusion, Score, TaskGuess},
    error::{DecisionFault, OpenError, RouteError},
    options::{Limits, Provider, RouterOptions},
    profile::{Interaction, Profile, UserState},
    request::{Candidate, RouteRequest},
    router::Router,
};
