//! Decisions of the routing plugin on graphs whose scores can be calculated.

use std::sync::Arc;
use std::thread;

use personaroute_harness::bundle::BundleSpec;
use personaroute_host::{Decision, Exclusion, RouteError, RouteRequest, UserState};

use super::fixture::{open, open_with, request};

/// The noise of a text in the test bundle, and float rounding.
const TOLERANCE: f32 = 2e-3;

fn best(decision: &Decision) -> &str {
    &decision.best().unwrap().llm
}

#[test]
fn users_with_different_preferences_get_different_llms() {
    let fixture = open(&BundleSpec::default());
    let decide = |user| fixture.router.route(&request(&fixture.router, Some(user), "What is 12 times 12?")).unwrap();
    let (thrifty, lavish) = (decide("thrifty"), decide("lavish"));
    assert_eq!(best(&thrifty), "llm-0");
    assert_eq!(best(&lavish), "llm-4");
    assert_eq!((thrifty.user_state, lavish.user_state), (UserState::Known, UserState::Known));
    assert!(!thrifty.why.is_empty());
}

#[test]
fn scores_are_the_scorers() {
    let spec = BundleSpec { llms: 50, ..BundleSpec::default() };
    let fixture = open(&spec);
    let decision = fixture.router.route(&request(&fixture.router, Some("even"), "hello world")).unwrap();
    assert_eq!(decision.ranking.len(), 50);
    for score in &decision.ranking {
        let llm: usize = score.llm.strip_prefix("llm-").unwrap().parse().unwrap();
        let (effect, cost) = (spec.effect(llm), spec.cost(llm));
        assert!((score.effect - effect).abs() < TOLERANCE, "{score:?}");
        assert!((score.cost - cost).abs() < 1e-6, "{score:?}");
        assert!((score.utility - 0.5 * (effect - cost)).abs() < TOLERANCE, "{score:?}");
        assert!((score.uncertainty - 0.1 * cost).abs() < 1e-6, "{score:?}");
    }
    let utilities: Vec<_> = decision.ranking.iter().map(|score| score.utility).collect();
    assert!(utilities.is_sorted_by(|left, right| left >= right), "{utilities:?}");
}

#[test]
fn a_declared_preference_replaces_the_users_own() {
    let fixture = open(&BundleSpec::default());
    let mut request = request(&fixture.router, Some("thrifty"), "hello");
    request.preference = Some(1.0);
    assert_eq!(best(&fixture.router.route(&request).unwrap()), "llm-4");
    request.preference = Some(0.0);
    assert_eq!(best(&fixture.router.route(&request).unwrap()), "llm-0");
}

#[test]
fn unknown_users_are_scored_with_the_population_prior() {
    let fixture = open(&BundleSpec::default());
    let decide = |user| fixture.router.route(&request(&fixture.router, user, "hello")).unwrap();
    let (stranger, anonymous, even) = (decide(Some("nobody")), decide(None), decide(Some("even")));
    assert_eq!((stranger.user_state, anonymous.user_state), (UserState::New, UserState::Anonymous));
    assert_eq!(stranger.ranking, anonymous.ranking);
    assert_eq!(stranger.ranking, even.ranking, "the prior and this user have the same weight of effect");
}

#[test]
fn a_prompt_longer_than_the_context_window_excludes_the_candidate() {
    let fixture = open(&BundleSpec::default());
    let mut request = request(&fixture.router, Some("lavish"), "hello");
    request.prompt_tokens = 5000;
    request.candidates[4].context_window = Some(4000);
    let decision = fixture.router.route(&request).unwrap();
    let last = decision.ranking.last().unwrap();
    assert_eq!((&*last.llm, last.excluded), ("llm-4", Some(Exclusion::ContextWindow)));
    assert_eq!(best(&decision), "llm-3");
}

#[test]
fn a_candidate_that_is_not_in_the_bundle_is_ranked() {
    let fixture = open(&BundleSpec::default());
    let mut request = request(&fixture.router, Some("lavish"), "hello");
    request.candidates[1].llm = "brand-new".into();
    let decision = fixture.router.route(&request).unwrap();
    let known = decision.ranking.iter().filter(|score| &*score.llm == "brand-new").count();
    assert_eq!((known, decision.ranking.len()), (1, 5));
}

#[test]
fn a_declared_task_is_certain() {
    let fixture = open(&BundleSpec::default());
    let mut request = request(&fixture.router, None, "hello");
    request.task = Some("task-1".to_owned());
    let task = fixture.router.route(&request).unwrap().task.unwrap();
    assert_eq!((task.task.as_str(), task.probability), ("task-1", 1.0));
}

#[test]
fn a_batch_has_the_decisions_of_its_requests() {
    let fixture = open(&BundleSpec::default());
    let users = [Some("thrifty"), None, Some("lavish"), Some("nobody"), Some("even")];
    let texts = ["hello", "What is the capital of France?", "", "fn main() { println!(\"{}\", 1 + 1); }"];
    let pairs = (0..150).map(|idx| (users[idx % users.len()], texts[idx % texts.len()]));
    let mut requests: Vec<_> = pairs.map(|(user, text)| request(&fixture.router, user, text)).collect();
    requests[7].preference = Some(0.9);
    requests[8].candidates.truncate(2);
    requests[70].candidates.clear();
    let batch = fixture.router.route_batch(&requests);
    assert_eq!(batch.len(), requests.len());
    for (idx, (together, request)) in batch.iter().zip(&requests).enumerate() {
        match (together, fixture.router.route(request)) {
            (Ok(together), Ok(alone)) => assert_same(idx, together, &alone),
            (together, alone) => {
                assert_eq!((idx, together), (70, &alone), "only request 70 is invalid");
                assert!(matches!(alone, Err(RouteError::InvalidRequest(_))));
            }
        }
    }
}

fn assert_same(idx: usize, together: &Decision, alone: &Decision) {
    assert_eq!((together.user_state, together.ranking.len()), (alone.user_state, alone.ranking.len()), "request {idx}");
    for (left, right) in together.ranking.iter().zip(&alone.ranking) {
        assert_eq!(left.llm, right.llm, "request {idx}");
        assert!((left.utility - right.utility).abs() < 1e-5, "request {idx}: {left:?} {right:?}");
    }
}

#[test]
fn concurrent_threads_have_the_decisions_of_one() {
    let fixture = open(&BundleSpec::default());
    let router = Arc::new(fixture.router);
    let alone = router.route(&request(&router, Some("even"), "hello")).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let decision = router.route(&request(&router, Some("even"), "hello")).unwrap();
                    assert_eq!(decision.ranking, alone.ranking);
                }
            });
        }
    });
}

#[test]
fn an_instance_may_serve_one_call_or_many() {
    let decide = |calls| {
        let fixture = open_with(&BundleSpec::default(), |options| options.limits.instance_calls = calls);
        let texts = ["hello", "What is the capital of France?", "hello"];
        let decide = |text| fixture.router.route(&request(&fixture.router, Some("even"), text)).unwrap().ranking;
        texts.map(decide)
    };
    let fresh = decide(1);
    assert_eq!(fresh[0], fresh[2]);
    assert_eq!(decide(2), fresh, "the routing plugin keeps no state");
}

#[test]
fn an_invalid_request_is_refused() {
    let fixture = open(&BundleSpec::default());
    let refusal = |change: fn(&mut RouteRequest)| {
        let mut request = request(&fixture.router, None, "hello");
        change(&mut request);
        fixture.router.route(&request).unwrap_err()
    };
    let cases: [fn(&mut RouteRequest); 4] = [
        |request| request.candidates.clear(),
        |request| request.preference = Some(-0.1),
        |request| request.candidates[0].input_price = -1.0,
        |request| request.candidates[1] = request.candidates[0].clone(),
    ];
    for (idx, case) in cases.into_iter().enumerate() {
        let error = refusal(case);
        assert!(matches!(error, RouteError::InvalidRequest(_)), "case {idx}: {error}");
        assert_eq!(error.label(), "invalid_request");
    }
}
