//! Returns scores that are not finite, in the field that the text names (`utility`, `effect`, `cost`, `uncertainty`), or
//! an `infinite` utility, a `negative` uncertainty, or a task `probability` that is NaN. Adapted profiles are NaN too.
#![cfg(target_family = "wasm")]

use personaroute_test_guests::bindings::exports::personaroute::router::routing::TaskGuess;
use personaroute_test_guests::{
    Decision, Interaction, Model, Plugin, Request, RoutingError, UserProfile, export, valid_decision,
};

struct Nan;

impl Plugin for Nan {
    fn route(_: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let mut decision = valid_decision(request);
        if request.text == "probability" {
            decision.task = Some(TaskGuess { task: "a task".into(), probability: f32::NAN });
        }
        let ranking = &mut decision.ranking;
        let (values, value) = match request.text.as_str() {
            "utility" => (&mut ranking.utilities, f32::NAN),
            "effect" => (&mut ranking.effects, f32::NAN),
            "cost" => (&mut ranking.costs, f32::NAN),
            "uncertainty" => (&mut ranking.uncertainties, f32::NAN),
            "infinite" => (&mut ranking.utilities, f32::INFINITY),
            "negative" => (&mut ranking.uncertainties, -1.0),
            _ => return Ok(decision),
        };
        values.iter_mut().take(1).for_each(|first| *first = value);
        Ok(decision)
    }

    fn adapt(mut profile: UserProfile, _: &[Interaction]) -> Result<UserProfile, RoutingError> {
        profile.embedding.fill(f32::NAN);
        Ok(profile)
    }
}

export!(Nan);
