//! Every baseline has the metrics that an independent implementation of the protocol gives it.

use crate::data::outcome::tests::{answers, committed};
use crate::data::outcome::{self, Cost};
use crate::data::simulate::{Draw, Users, population};
use crate::data::split::{Ratio, split};
use crate::data::world::{Feedback, KEY, WorldKind};
use crate::eval::ground_truth::GroundTruth;
use crate::eval::{EvalSet, measure};

use super::all;

mod worlds;

fn check(name: &str, users: Users, seen: Option<usize>) {
    let data = outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
    let answers = answers();
    for seed in 0..3 {
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, seed);
        let world = users.world(&data, WorldKind::Line, KEY).unwrap();
        let draw = Draw { seed, seen, feedback: Feedback::Full };
        let seen_rewards = population(&data, &split, &world, draw);
        let truth = GroundTruth::Simulated { dataset: &data, world };
        let set = EvalSet::new(&data, &truth, &split, &seen_rewards, seed);
        let routers = all(&set, seen.is_some()).unwrap();
        for (baseline, expected) in answers["seeds"][seed.to_string()][name].as_object().unwrap() {
            let router = routers.iter().find(|router| router.name() == baseline).unwrap();
            let found = serde_json::to_value(measure(&set, router.as_ref()).unwrap().metrics).unwrap();
            for (metric, expected) in expected.as_object().unwrap() {
                let (found, expected) = (found[metric].as_f64().unwrap(), expected.as_f64().unwrap());
                // Expected values are rounded to six digits.
                let is_same = (found - expected).abs() < 2e-6;
                assert!(is_same, "{name}, seed {seed}, {baseline}: {metric} is {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn learned_baselines_know_more_than_the_cheapest() {
    let data = outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
    let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 0);
    let draw = Draw { seed: 0, seen: Some(40), feedback: Feedback::Full };
    let world = Users::Uniform(100).world(&data, WorldKind::Line, KEY).unwrap();
    let seen = population(&data, &split, &world, draw);
    let truth = GroundTruth::Simulated { dataset: &data, world };
    let set = EvalSet::new(&data, &truth, &split, &seen, 0);
    let routers = all(&set, true).unwrap();
    let reward = |name: &str| {
        let router = routers.iter().find(|router| router.name() == name).unwrap();
        let outcome = measure(&set, router.as_ref()).unwrap();
        eprintln!("{name} {:?}", outcome.metrics);
        outcome.metrics.reward
    };
    let best = reward("best_single_overall");
    assert!(reward("matrix_factorisation") > best && reward("told_p_mlp") > best);
}

#[test]
fn baselines_of_nine_users_have_the_independent_metrics() {
    check("s9", Users::Nine, None);
}

#[test]
fn baselines_of_a_thousand_users_have_the_independent_metrics() {
    check("s1000", Users::Uniform(1000), Some(40));
}
