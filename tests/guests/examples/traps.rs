//! Traps.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::{Decision, Interaction, Model, Plugin, Request, RoutingError, UserProfile, export};

struct Traps;

impl Plugin for Traps {
    fn route(_: &Model, _: &Request) -> Result<Decision, RoutingError> {
        std::process::abort()
    }

    fn adapt(_: UserProfile, _: &[Interaction]) -> Result<UserProfile, RoutingError> {
        std::process::abort()
    }
}

export!(Traps);
