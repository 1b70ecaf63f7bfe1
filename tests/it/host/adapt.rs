//! Adapting user profiles from interactions.

use personaroute_harness::bundle::BundleSpec;
use personaroute_host::{
    Interaction, InteractionKind, Profile, QueryFeatures, RouteError, RouteRequest, TaskHint, UserState,
};

use super::fixture::{open, request};

/// A rating of an LLM's response.
pub(crate) fn rated(llm: &str, group: u64, value: f32) -> Interaction {
    Interaction {
        llm: llm.to_owned(),
        task: TaskHint::Declared("task-1".to_owned()),
        query: QueryFeatures::None,
        group,
        kind: InteractionKind::Rating,
        value,
        weight: 1.0,
    }
}

fn stranger(spec: &BundleSpec) -> Profile {
    Profile { embedding: spec.embedding(0.5), state: UserState::New, interactions: 0, preference: None, certainty: 0.0 }
}

#[test]
fn interactions_move_a_profile_and_its_decisions() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let before = stranger(&spec);
    let liked = fixture.router.adapt(&before, &[rated("llm-4", 1, 3.0), rated("llm-3", 2, 3.0)]).unwrap();
    let disliked = fixture.router.adapt(&before, &[rated("llm-4", 1, -3.0), rated("llm-3", 2, -3.0)]).unwrap();
    assert_eq!((liked.state, liked.interactions, liked.certainty), (UserState::Adapted, 2, 0.75));
    assert!(liked.embedding[0] > 0.9 && disliked.embedding[0] < 0.1, "{liked:?} {disliked:?}");
    let decide = |profile: Profile| {
        let request = RouteRequest { profile: Some(profile), ..request(&fixture.router, Some("thrifty"), "hello") };
        fixture.router.route(&request).unwrap()
    };
    let (liked, disliked) = (decide(liked), decide(disliked));
    assert_eq!(liked.user_state, UserState::Adapted, "the request's profile takes precedence over the user table");
    assert_eq!((&*liked.ranking[0].llm, &*disliked.ranking[0].llm), ("llm-4", "llm-0"));
}

#[test]
fn an_anonymous_request_may_bring_a_profile() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let profile = Profile { embedding: spec.embedding(1.0), state: UserState::Adapted, ..stranger(&spec) };
    let with = RouteRequest { profile: Some(profile), ..request(&fixture.router, None, "hello") };
    let decision = fixture.router.route(&with).unwrap();
    assert_eq!((&*decision.ranking[0].llm, decision.user_state), ("llm-4", UserState::Adapted));
}

#[test]
fn a_batch_keeps_profiles_of_one_user_apart() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let with = |weight| {
        let profile = Profile { embedding: spec.embedding(weight), state: UserState::Adapted, ..stranger(&spec) };
        RouteRequest { profile: Some(profile), ..request(&fixture.router, Some("even"), "hello") }
    };
    let decisions =
        fixture.router.route_batch(&[with(1.0), with(0.0), request(&fixture.router, Some("even"), "hello")]);
    let best: Vec<_> = decisions.iter().map(|decision| &*decision.as_ref().unwrap().ranking[0].llm).collect();
    assert_eq!(best, ["llm-4", "llm-0", "llm-2"]);
}

#[test]
fn without_interactions_a_profile_is_unchanged() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let before = stranger(&spec);
    assert_eq!(fixture.router.adapt(&before, &[]).unwrap(), before);
    let unknown = [rated("no-such-llm", 1, 1.0)];
    assert_eq!(
        fixture.router.adapt(&before, &unknown).unwrap(),
        before,
        "interactions with an unknown LLM are ignored"
    );
}

#[test]
fn invalid_interactions_and_profiles_are_refused() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let before = stranger(&spec);
    let short = Profile { embedding: vec![0.5], ..stranger(&spec) };
    for (profile, interactions) in [
        (&before, vec![rated("llm-0", 1, f32::NAN)]),
        (&before, vec![Interaction { weight: 1.5, ..rated("llm-0", 1, 1.0) }]),
        (&before, vec![Interaction { query: QueryFeatures::Ngrams(vec![i64::MAX]), ..rated("llm-0", 1, 1.0) }]),
        (&before, vec![Interaction { query: QueryFeatures::Embedding(vec![1.0]), ..rated("llm-0", 1, 1.0) }]),
        (&before, vec![Interaction { task: guessed(&[0.75, 0.5]), ..rated("llm-0", 1, 1.0) }]),
        (&before, vec![rated("llm-0", 1, 1.0); 4097]),
        (&short, vec![rated("llm-0", 1, 1.0)]),
    ] {
        let error = fixture.router.adapt(profile, &interactions).unwrap_err();
        assert!(matches!(error, RouteError::InvalidRequest(_)), "{error}");
    }
}

fn guessed(probabilities: &[f32]) -> TaskHint {
    let named = probabilities.iter().enumerate().map(|(task, &probability)| (format!("task-{task}"), probability));
    TaskHint::Guessed(named.collect())
}

#[test]
fn a_known_user_moves_from_the_trained_embedding() {
    let fixture = open(&BundleSpec::default());
    let start = fixture.router.profile("lavish").unwrap();
    let adapted = fixture.router.adapt(&start, &[rated("llm-4", 1, -1.0)]).unwrap();
    assert_eq!((adapted.state, adapted.interactions), (UserState::Adapted, 41));
    assert!(adapted.embedding[0] > 0.9, "one rating does not undo forty: {adapted:?}");
    let prior = fixture.router.adapt(&fixture.router.prior(), &[rated("llm-4", 1, -1.0)]).unwrap();
    assert!(prior.embedding[0] < 0.3 && prior.certainty < adapted.certainty, "{prior:?}");
}

#[test]
fn what_was_said_long_ago_counts_less() {
    let fixture = open(&BundleSpec::default());
    let of = |weight| {
        let said = Interaction { weight, ..rated("llm-4", 1, 2.0) };
        fixture.router.adapt(&fixture.router.prior(), &[said]).unwrap().embedding[0]
    };
    assert!(of(1.0) > of(0.5) && of(0.5) > of(0.0), "{} {} {}", of(1.0), of(0.5), of(0.0));
    assert!((of(0.0) - 0.5).abs() < 1e-6);
}

#[test]
fn a_querys_features_stand_for_its_text() {
    let fixture = open(&BundleSpec::default());
    let query = fixture.router.query_features("What is 17 * 23?").unwrap();
    assert!(matches!(&query, QueryFeatures::Ngrams(ids) if ids.len() > 7), "{query:?}");
    let task = guessed(&[0.25, 0.5]);
    let said = Interaction { query, task, kind: InteractionKind::Choice, ..rated("llm-4", 1, 1.0) };
    assert_eq!(fixture.router.adapt(&fixture.router.prior(), &[said]).unwrap().interactions, 1);
}

#[test]
fn callers_can_read_the_user_table() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let thrifty = fixture.router.profile("thrifty").unwrap();
    assert_eq!((thrifty.state, thrifty.interactions, thrifty.certainty), (UserState::Known, 40, 0.9));
    assert_eq!(thrifty.embedding, spec.embedding(0.1));
    assert!(fixture.router.profile("nobody").is_none());
}
