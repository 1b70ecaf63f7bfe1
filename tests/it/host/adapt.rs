//! Adapting user profiles from interactions.

use personaroute_harness::bundle::BundleSpec;
use personaroute_host::{Interaction, Profile, RouteError, RouteRequest, UserState};

use super::fixture::{open, request};

fn rated(llm: &str, query: u64, reward: f32) -> Interaction {
    Interaction { llm: llm.to_owned(), task: Some("task-1".to_owned()), query, reward }
}

fn stranger(spec: &BundleSpec) -> Profile {
    Profile { embedding: spec.embedding(0.5), state: UserState::New, interactions: 0, preference: None }
}

#[test]
fn interactions_move_a_profile_and_its_decisions() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let before = stranger(&spec);
    let liked = fixture.router.adapt(&before, &[rated("llm-4", 1, 3.0), rated("llm-3", 2, 3.0)]).unwrap();
    let disliked = fixture.router.adapt(&before, &[rated("llm-4", 1, -3.0), rated("llm-3", 2, -3.0)]).unwrap();
    assert_eq!((liked.state, liked.interactions), (UserState::Adapted, 2));
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
        (&before, vec![rated("llm-0", 1, 1.0); 4097]),
        (&short, vec![rated("llm-0", 1, 1.0)]),
    ] {
        let error = fixture.router.adapt(profile, &interactions).unwrap_err();
        assert!(matches!(error, RouteError::InvalidRequest(_)), "{error}");
    }
}

#[test]
fn callers_can_read_the_user_table() {
    let spec = BundleSpec::default();
    let fixture = open(&spec);
    let thrifty = fixture.router.profile("thrifty").unwrap();
    assert_eq!((thrifty.state, thrifty.interactions), (UserState::Known, 40));
    assert_eq!(thrifty.embedding, spec.embedding(0.1));
    assert!(fixture.router.profile("nobody").is_none());
}
