//! Takes memory until the host refuses more.
#![cfg(target_family = "wasm")]

use std::hint::black_box;

use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export};

/// Bytes of one piece.
const PIECE: usize = 1 << 20;

struct Allocates;

impl Plugin for Allocates {
    fn route(_: &Model, _: &Request) -> Result<Decision, RoutingError> {
        let mut pieces = Vec::new();
        loop {
            pieces.push(vec![1_u8; PIECE]);
            black_box(&pieces);
        }
    }
}

export!(Allocates);
