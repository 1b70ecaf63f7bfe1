//! Allocates memory until the host refuses more.
#![cfg(target_family = "wasm")]

use std::hint::black_box;

use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export};

/// Bytes of one allocation.
const BLOCK: usize = 1 << 20;

struct Allocates;

impl Plugin for Allocates {
    fn route(_: &Model, _: &Request) -> Result<Decision, RoutingError> {
        let mut blocks = Vec::new();
        loop {
            blocks.push(vec![1_u8; BLOCK]);
            black_box(&blocks);
        }
    }
}

export!(Allocates);
