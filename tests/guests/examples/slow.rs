//! Calls the host forever.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::bindings::personaroute::router::users;
use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export};

struct Slow;

impl Plugin for Slow {
    fn route(_: &Model, request: &Request) -> Result<Decision, RoutingError> {
        loop {
            std::hint::black_box(users::profile(&request.text));
        }
    }
}

export!(Slow);
