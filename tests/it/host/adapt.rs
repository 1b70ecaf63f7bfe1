//! Users who are learnt about while the router runs.

use personaroute_harness::bundle::Recipe;
use personaroute_host::{Interaction, Profile, RouteError, RouteRequest, UserState};

use super::fixture::{open, request};

fn rated(llm: &str, query: u64, reward: f32) -> Interaction {
    Interaction { llm: llm.to_owned(), task: Some("task-1".to_owned()), query, reward }
}

fn stranger(recipe: &Recipe) -> Profile {
    Profile { embedding: recipe.embedding(0.5), state: UserState::New, interactions: 0, preference: None }
}

#[test]
fn interactions_move_a_profile_and_its_decisions() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let before = stranger(&recipe);
    let pleased = fixture.router.adapt(&before, &[rated("llm-4", 1, 3.0), rated("llm-3", 2, 3.0)]).unwrap();
    let cross = fixture.router.adapt(&before, &[rated("llm-4", 1, -3.0), rated("llm-3", 2, -3.0)]).unwrap();
    assert_eq!((pleased.state, pleased.interactions), (UserState::Adapted, 2));
    assert!(pleased.embedding[0] > 0.9 && cross.embedding[0] < 0.1, "{pleased:?} {cross:?}");
    let decide = |profile: Profile| {
        let request = RouteRequest { profile: Some(profile), ..request(&fixture.router, Some("thrifty"), "hello") };
        fixture.router.route(&request).unwrap()
    };
    let (pleased, cross) = (decide(pleased), decide(cross));
    assert_eq!(pleased.user_state, UserState::Adapted, "the request's profile goes before the user table");
    assert_eq!((&*pleased.ranking[0].llm, &*cross.ranking[0].llm), ("llm-4", "llm-0"));
}

#[test]
fn an_anonymous_request_may_bring_a_profile() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let profile = Profile { embedding: recipe.embedding(1.0), state: UserState::Adapted, ..stranger(&recipe) };
    let with = RouteRequest { profile: Some(profile), ..request(&fixture.router, None, "hello") };
    let decision = fixture.router.route(&with).unwrap();
    assert_eq!((&*decision.ranking[0].llm, decision.user_state), ("llm-4", UserState::Adapted));
}

#[test]
fn a_batch_keeps_profiles_of_one_user_apart() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let with = |weight| {
        let profile = Profile { embedding: recipe.embedding(weight), state: UserState::Adapted, ..stranger(&recipe) };
        RouteRequest { profile: Some(profile), ..request(&fixture.router, Some("even"), "hello") }
    };
    let decisions =
        fixture.router.route_batch(&[with(1.0), with(0.0), request(&fixture.router, Some("even"), "hello")]);
    let best: Vec<_> = decisions.iter().map(|decision| &*decision.as_ref().unwrap().ranking[0].llm).collect();
    assert_eq!(best, ["llm-4", "llm-0", "llm-2"]);
}

#[test]
fn without_interactions_a_profile_stays_as_it_is() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let before = stranger(&recipe);
    assert_eq!(fixture.router.adapt(&before, &[]).unwrap(), before);
    let unknown = [rated("no-such-llm", 1, 1.0)];
    assert_eq!(fixture.router.adapt(&before, &unknown).unwrap(), before, "an unknown LLM teaches nothing");
}

#[test]
fn what_cannot_be_learnt_from_is_refused() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let before = stranger(&recipe);
    let short = Profile { embedding: vec![0.5], ..stranger(&recipe) };
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
fn the_user_table_is_open_to_callers() {
    let recipe = Recipe::default();
    let fixture = open(&recipe);
    let thrifty = fixture.router.profile("thrifty").unwrap();
    assert_eq!((thrifty.state, thrifty.interactions), (UserState::Known, 40));
    assert_eq!(thrifty.embedding, recipe.embedding(0.1));
    assert!(fixture.router.profile("nobody").is_none());
}
