//! Returns or logs too much, by the text: `log` writes many messages, `message` one very long one, `why` returns a long
//! explanation, `ranking` many positions.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::bindings::personaroute::router::log;
use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export, valid_decision};

/// Messages of a flood.
const MESSAGES: usize = 10_000;

/// Bytes of a text that is too long; small enough for any sensible memory limit.
const LONG: usize = 1 << 20;

/// The last position of a ranking that is too long.
const POSITIONS: u32 = 100_000;

struct Floods;

impl Plugin for Floods {
    fn route(_: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let mut decision = valid_decision(request);
        match request.text.as_str() {
            "log" => (0..MESSAGES).for_each(|_| log::write(log::Level::Error, "flood")),
            "message" => log::write(log::Level::Error, &"flood ".repeat(LONG / 6)),
            "why" => decision.why = "because ".repeat(LONG / 8),
            "ranking" => decision.ranking.order.extend(5..POSITIONS),
            _ => {}
        }
        Ok(decision)
    }
}

export!(Floods);
