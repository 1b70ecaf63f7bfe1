//! The embeddable router: loads a model bundle, the routing plugin and ONNX Runtime, and decides which LLM answers.
//!
//! A [`Router`] needs no HTTP and no async runtime, so any Rust program can embed it.
//!
//! ```
//! use personaroute_host::{Candidate, RouteRequest, Router, RouterOptions};
//!
//! # let Some(plugin) = std::env::var_os("PERSONAROUTE_PLUGIN") else { return Ok(()) };
//! # if std::env::var_os("ORT_DYLIB_PATH").is_none() { return Ok(()) }
//! # let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/bundle");
//! # if !std::path::Path::new(bundle).is_dir() { return Ok(()) }
//! // The folder that `personaroute-train export` wrote and the component that `cargo xtask plugin` built;
//! // ORT_DYLIB_PATH names ONNX Runtime.
//! let router = Router::open(&RouterOptions::new(bundle, plugin))?;
//! let candidates: Vec<_> = router.bundle().catalog.llms.iter().map(Candidate::from_catalog).collect();
//! let frugal = RouteRequest {
//!     text: "What is 12 times 12?".to_owned(),
//!     preference: Some(0.1),
//!     candidates,
//!     ..RouteRequest::default()
//! };
//! let decision = router.route(&frugal)?;
//! assert_eq!(decision.ranking.len(), frugal.candidates.len());
//!
//! // The requests of a batch share runs of the scorer; each has its own result.
//! let demanding = RouteRequest { preference: Some(1.0), ..frugal.clone() };
//! let decisions = router.route_batch(&[frugal, demanding]);
//! assert!(decisions.iter().all(Result::is_ok));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Router::route`] checks a request, converts it to WIT types and calls the plugin in a fresh instance. The plugin
//! imports the user's profile, the text's embedding (if the bundle has an `embedding` encoder) and runs of the scorer
//! ([`infer`]). The host checks the returned ranking. [`Limits`] bounds every call, and every failure is a
//! [`RouteError`].

#![warn(missing_docs)]

mod options;
mod profile;
mod request;

mod router;

mod affinity;
mod bindings;
mod context;
mod convert;
mod engine;
mod import;
mod plugin;
mod services;
mod source;
mod truncate;

pub mod encoder;
pub mod infer;
pub mod installed;

mod check;
mod decision;
mod error;

pub use personaroute_bundle as bundle;
pub use personaroute_bundle::interaction::{InteractionKind, QueryFeatures};

pub use self::{
    decision::{Decision, Exclusion, Score, TaskGuess},
    error::{DecisionFault, OpenError, RouteError},
    options::{Limits, Provider, RouterOptions},
    profile::{Interaction, Profile, TaskHint, UserState},
    request::{Candidate, RouteRequest},
    router::Router,
    source::PluginSource,
};
