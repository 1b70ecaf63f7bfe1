//! Shared by the misbehaving plugins: the bindings and a valid decision.
//!
//! Each plugin is one file in `examples/`, built as a component of the same world as the real one:
//! `cargo build -p personaroute-test-guests --examples --target wasm32-unknown-unknown --profile guest`. Elsewhere they
//! compile to nothing. A plugin with several misbehaviours selects one by the text of the request.

#![cfg(target_family = "wasm")]

pub mod bindings {
    //! Generated from `wit/`.

    wit_bindgen::generate!({
        path: "../../wit",
        world: "router",
        pub_export_macro: true,
        default_bindings_module: "personaroute_test_guests::bindings",
    });
}

pub use self::bindings::export;
pub use self::bindings::exports::personaroute::router::learning::{self, Interaction};
pub use self::bindings::exports::personaroute::router::routing::{
    self, Decision, Model, Ranking, Request, RoutingError,
};
pub use self::bindings::personaroute::router::users::{UserProfile, UserState};

/// A plugin; the default methods behave correctly.
pub trait Plugin {
    fn route(model: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let _ = model;
        Ok(valid_decision(request))
    }

    fn route_batch(model: &Model, requests: &[Request]) -> Vec<Result<Decision, RoutingError>> {
        requests.iter().map(|request| Self::route(model, request)).collect()
    }

    fn adapt(profile: UserProfile, interactions: &[Interaction]) -> Result<UserProfile, RoutingError> {
        let _ = interactions;
        Ok(profile)
    }
}

impl<T: Plugin> routing::Guest for T {
    fn route(model: Model, request: Request) -> Result<Decision, RoutingError> {
        <T as Plugin>::route(&model, &request)
    }

    fn route_batch(model: Model, requests: Vec<Request>) -> Vec<Result<Decision, RoutingError>> {
        <T as Plugin>::route_batch(&model, &requests)
    }
}

impl<T: Plugin> learning::Guest for T {
    fn adapt(_model: Model, start: UserProfile, interactions: Vec<Interaction>) -> Result<UserProfile, RoutingError> {
        <T as Plugin>::adapt(start, &interactions)
    }
}

/// Returns every candidate once, in the order of the request, with equal scores.
pub fn valid_decision(request: &Request) -> Decision {
    let count = request.candidates.columns.len();
    let ranking = Ranking {
        order: (0..).take(count).collect(),
        utilities: vec![0.5; count],
        effects: vec![0.5; count],
        costs: vec![0.5; count],
        uncertainties: vec![0.1; count],
        excluded: Vec::new(),
    };
    Decision { ranking, user_state: UserState::Anonymous, task: None, why: "all are alike".into() }
}
