//! Each misbehaving plugin ends in its error variant, and the router stays usable.

use std::time::{Duration, Instant};

use personaroute_harness::bundle::BundleSpec;
use personaroute_harness::path;
use personaroute_host::{Decision, DecisionFault, Limits, Profile, RouteError, Router};

use super::adapt::rated;
use super::fixture::{Fixture, open_with, request};

/// Opens a router with the test plugin `name` and this deadline.
fn open(name: &str, deadline: Duration) -> Fixture {
    open_with(&BundleSpec::default(), |options| {
        options.plugin = path::guest(name).into();
        options.limits = Limits { deadline, memory_bytes: 4 << 20, concurrency: 4, ..options.limits.clone() };
    })
}

/// Opens a router with a deadline that a terminating plugin never reaches, even on a loaded machine.
fn open_without_deadline(name: &str) -> Fixture {
    open(name, Duration::from_secs(30))
}

fn route(router: &Router, text: &str) -> Result<Decision, RouteError> {
    router.route(&request(router, Some("even"), text))
}

fn adapt(router: &Router) -> Result<Profile, RouteError> {
    router.adapt(&router.prior(), &[rated("llm-0", 1, 1.0)])
}

fn fault(router: &Router, text: &str) -> DecisionFault {
    match route(router, text) {
        Err(RouteError::InvalidDecision(fault)) => fault,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_plugin_that_loops_ends_in_timeout_again_and_again() {
    let fixture = open("loops", Duration::from_millis(50));
    for _ in 0..3 {
        assert_eq!(route(&fixture.router, "hello"), Err(RouteError::Timeout));
    }
    assert_eq!(adapt(&fixture.router), Err(RouteError::Timeout));
}

#[test]
fn a_call_with_a_shorter_time_ends_long_before_the_limit() {
    let (fixture, began) = (open("loops", Duration::from_secs(600)), Instant::now());
    let asked = request(&fixture.router, Some("even"), "hello");
    assert_eq!(fixture.router.route_within(&asked, Duration::from_millis(1)), Err(RouteError::Timeout));
    assert!(began.elapsed() < Duration::from_secs(300));
}

#[test]
fn a_plugin_that_loops_in_calls_of_the_host_ends_in_timeout() {
    let fixture = open("slow", Duration::from_millis(50));
    assert_eq!(route(&fixture.router, "hello"), Err(RouteError::Timeout));
}

#[test]
fn a_plugin_that_traps_ends_in_trapped() {
    let fixture = open_without_deadline("traps");
    for _ in 0..20 {
        let error = route(&fixture.router, "hello").unwrap_err();
        assert!(matches!(&error, RouteError::Trapped { reason } if reason.contains("unreachable")), "{error}");
    }
    assert!(matches!(adapt(&fixture.router), Err(RouteError::Trapped { .. })));
    assert!(fixture.router.profile("even").is_some());
}

#[test]
fn a_plugin_that_allocates_without_end_ends_in_out_of_memory() {
    let fixture = open_without_deadline("allocates");
    for _ in 0..20 {
        assert_eq!(route(&fixture.router, "hello"), Err(RouteError::OutOfMemory));
    }
}

#[test]
fn a_ranking_of_other_candidates_is_an_invalid_decision() {
    let fixture = open_without_deadline("lies");
    let missing = |llm: &str| DecisionFault::MissingCandidate(llm.to_owned());
    assert_eq!(fault(&fixture.router, "missing"), missing("llm-4"));
    assert_eq!(fault(&fixture.router, "empty"), missing("llm-0"));
    assert_eq!(fault(&fixture.router, "duplicate"), DecisionFault::DuplicateCandidate("llm-0".to_owned()));
    assert_eq!(fault(&fixture.router, "unknown"), DecisionFault::UnknownCandidate(99));
    let scores = DecisionFault::ScoreCount { field: "effect", expected: 5, got: 4 };
    assert_eq!(fault(&fixture.router, "scores"), scores);
    assert!(route(&fixture.router, "valid").is_ok(), "the next call of the plugin is valid");
}

#[test]
fn a_batch_of_another_length_fails_as_a_whole() {
    let fixture = open_without_deadline("lies");
    for (text, got) in [("short", 2), ("long", 4)] {
        let requests = ["a", text, "b"].map(|text| request(&fixture.router, None, text));
        let fault = RouteError::InvalidDecision(DecisionFault::ResultCount { expected: 3, got });
        assert_eq!(fixture.router.route_batch(&requests), vec![Err(fault.clone()), Err(fault.clone()), Err(fault)]);
    }
}

#[test]
fn an_invalid_decision_in_a_batch_fails_its_request_only() {
    let fixture = open_without_deadline("lies");
    let requests = ["a", "duplicate", "b"].map(|text| request(&fixture.router, None, text));
    let results = fixture.router.route_batch(&requests);
    assert!(results[0].is_ok() && results[2].is_ok());
    let fault = DecisionFault::DuplicateCandidate("llm-0".to_owned());
    assert_eq!(results[1], Err(RouteError::InvalidDecision(fault)));
}

#[test]
fn numbers_that_are_not_finite_are_an_invalid_decision() {
    let fixture = open_without_deadline("nan");
    for field in ["utility", "effect", "cost", "uncertainty"] {
        let not_finite = DecisionFault::NotFinite { llm: "llm-0".to_owned(), field };
        assert_eq!(fault(&fixture.router, field), not_finite);
    }
    let infinite = DecisionFault::NotFinite { llm: "llm-0".to_owned(), field: "utility" };
    assert_eq!(fault(&fixture.router, "infinite"), infinite);
    assert_eq!(fault(&fixture.router, "negative"), DecisionFault::OutOfRange { field: "uncertainty" });
    assert_eq!(fault(&fixture.router, "probability"), DecisionFault::OutOfRange { field: "task probability" });
    let embedding = DecisionFault::OutOfRange { field: "embedding" };
    assert_eq!(adapt(&fixture.router), Err(RouteError::InvalidDecision(embedding)));
}

#[test]
fn a_flood_is_refused_or_truncated() {
    let fixture = open_without_deadline("floods");
    assert_eq!(fault(&fixture.router, "why"), DecisionFault::TooLong { field: "why" });
    assert_eq!(fault(&fixture.router, "ranking"), DecisionFault::UnknownCandidate(5));
    // Messages past the limit are dropped and long ones truncated; neither affects the decision.
    assert!(route(&fixture.router, "log").is_ok());
    assert!(route(&fixture.router, "message").is_ok());
}

#[test]
fn invalid_graph_inputs_are_refused() {
    let fixture = open_without_deadline("misuses");
    let cases = [
        ("graph", "UnknownGraph(\"no such graph\")"),
        ("none", "0 inputs instead of 4"),
        ("name", "input user is missing"),
        ("type", "input user takes float32, not int64"),
        ("dims", "input user has 8 elements, its dims say 16"),
        ("huge", "input user has 8 dimensions instead of 2"),
        ("shape", "input user"),
        ("embed", "Absent"),
    ];
    for (text, expected) in cases {
        let error = route(&fixture.router, text).unwrap_err();
        assert!(matches!(&error, RouteError::Inference(reason) if reason.contains(expected)), "{text}: {error:?}");
    }
    let error = route(&fixture.router, "index").unwrap_err();
    assert!(matches!(error, RouteError::Inference(_)), "ONNX Runtime checks indices itself: {error}");
    assert!(route(&fixture.router, "nothing").is_ok(), "the session still runs");
}
