//! Loops forever without calling the host.
#![cfg(target_family = "wasm")]

use std::hint::black_box;

use personaroute_test_guests::{Decision, Interaction, Model, Plugin, Request, RoutingError, UserProfile, export};

struct Loops;

impl Plugin for Loops {
    fn route(_: &Model, _: &Request) -> Result<Decision, RoutingError> {
        forever()
    }

    fn adapt(_: UserProfile, _: &[Interaction]) -> Result<UserProfile, RoutingError> {
        forever()
    }
}

fn forever() -> ! {
    let mut rounds = 0_u64;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

export!(Loops);
