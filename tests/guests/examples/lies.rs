//! Returns an invalid ranking, by the text: candidates are `missing`, `duplicate`, `unknown` or `empty`, `scores` are
//! missing; `short` drops the last result of a batch, `long` adds one.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export, valid_decision};

struct Lies;

impl Plugin for Lies {
    fn route(_: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let mut decision = valid_decision(request);
        match request.text.as_str() {
            "missing" => decision.ranking.order.truncate(4),
            "duplicate" => decision.ranking.order.extend(decision.ranking.order.first().copied()),
            "unknown" => decision.ranking.order.push(99),
            "empty" => decision.ranking.order.clear(),
            "scores" => decision.ranking.effects.truncate(4),
            _ => {}
        }
        Ok(decision)
    }

    fn route_batch(model: &Model, requests: &[Request]) -> Vec<Result<Decision, RoutingError>> {
        let mut results: Vec<_> = requests.iter().map(|request| Self::route(model, request)).collect();
        let says = |text: &str| requests.iter().any(|request| request.text == text);
        if says("short") {
            results.pop();
        }
        if says("long") {
            results.extend(requests.first().map(|request| Ok(valid_decision(request))));
        }
        results
    }
}

export!(Lies);
