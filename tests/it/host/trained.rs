//! Decisions with the default bundle of the repository.

use std::collections::HashSet;

use personaroute_harness::path;
use personaroute_host::{RouteRequest, Router, RouterOptions, UserState};

use super::fixture::request;

/// Typical questions.
const QUESTIONS: [&str; 4] = [
    "What is the output of this function for the list [1, 2, 2, 3]?",
    "A train leaves at nine and runs 80 km/h. How far is it at noon?",
    "Which of these is a mammal? A) shark B) whale C) trout",
    "Write a regular expression for ISO dates.",
];

fn open() -> Router {
    let mut options = RouterOptions::new(path::default_bundle(), path::plugin());
    options.onnxruntime = Some(path::onnxruntime());
    Router::open(&options).unwrap()
}

fn preferring(router: &Router, question: &str, preference: f32) -> RouteRequest {
    RouteRequest { preference: Some(preference), ..request(router, None, question) }
}

#[test]
fn the_default_bundle_ranks_every_llm() {
    let router = open();
    for question in QUESTIONS {
        let decision = router.route(&request(&router, None, question)).unwrap();
        let ranked: HashSet<_> = decision.ranking.iter().map(|score| &*score.llm).collect();
        assert_eq!(ranked.len(), router.bundle().catalog.llms.len());
        assert_eq!(decision.user_state, UserState::Anonymous);
    }
}

#[test]
fn extreme_preferences_choose_different_llms() {
    let router = open();
    for question in QUESTIONS {
        let best = |preference| {
            let decision = router.route(&preferring(&router, question, preference)).unwrap();
            decision.ranking[0].llm.clone()
        };
        assert_ne!(best(0.0), best(1.0), "{question}");
    }
}

#[test]
fn users_of_the_table_are_known() {
    let router = open();
    let user = router.bundle().users.ids().next().unwrap().to_owned();
    let decision = router.route(&request(&router, Some(&user), QUESTIONS[0])).unwrap();
    assert_eq!(decision.user_state, UserState::Known);
}
