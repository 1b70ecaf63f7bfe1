//! Exports the plugin as a WASM component.

mod convert;
mod host;
mod memory;

use self::bindings::exports::personaroute::router::{learning, routing};
use self::bindings::personaroute::router::users;
use self::host::WitHost;
use crate::{adapt, model, route};

#[expect(unsafe_code, reason = "generated: the canonical ABI is made of raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "router",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
    use super::Component;
    export!(Component);
}

struct Component;

impl routing::Guest for Component {
    fn route(model: routing::Model, request: routing::Request) -> Result<routing::Decision, routing::RoutingError> {
        let decision = route::route(&WitHost, &model.into(), &request.into());
        decision.map(Into::into).map_err(Into::into)
    }

    fn route_batch(
        model: routing::Model,
        requests: Vec<routing::Request>,
    ) -> Vec<Result<routing::Decision, routing::RoutingError>> {
        let requests: Vec<model::Request> = requests.into_iter().map(Into::into).collect();
        let decisions = route::route_batch(&WitHost, &model.into(), &requests).into_iter();
        decisions.map(|decision| decision.map(Into::into).map_err(Into::into)).collect()
    }
}

impl learning::Guest for Component {
    fn adapt(
        model: routing::Model,
        start: users::UserProfile,
        interactions: Vec<learning::Interaction>,
    ) -> Result<users::UserProfile, routing::RoutingError> {
        let interactions: Vec<model::Interaction> = interactions.into_iter().map(Into::into).collect();
        let adapted = adapt::adapt(&WitHost, &model.into(), start.into(), &interactions);
        adapted.map(Into::into).map_err(Into::into)
    }
}
