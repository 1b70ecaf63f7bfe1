//! The scorer's inputs for each kind of user, task and text.

use super::*;
use crate::fake::{FakeHost, model, request};
use crate::host::Output;

fn profile(embedding: &[f32], interactions: u32, preference: Option<f32>) -> Profile {
    Profile { embedding: embedding.into(), state: UserState::Known, interactions, preference, certainty: 0.5 }
}

fn host_knowing(user: &str, profile: Profile) -> FakeHost {
    FakeHost { profiles: [(user.to_string(), profile)].into(), ..FakeHost::default() }
}

fn of_user(user: &str) -> Request {
    Request { user: Some(user.into()), ..request(&["a"]) }
}

/// The user and the rows that one request makes.
fn features(host: &FakeHost, request: &Request) -> (User, Features) {
    let mut features = Features::default();
    let user = features.push(host, &model(), request, Validated { task: None }).unwrap();
    (user, features)
}

fn elements(features: &Features, name: &str) -> (Vec<u32>, Vec<f32>) {
    let mut ngrams = Vec::new();
    let tensors = features.tensors(&mut ngrams);
    let tensor = tensors.into_iter().find(|tensor| tensor.name == name).unwrap();
    match tensor.elements {
        Elements::Float32(elements) => (tensor.dims, elements.into()),
        Elements::Int64(elements) => (tensor.dims, elements.iter().map(|id| *id as f32).collect()),
    }
}

#[test]
fn unnamed_and_unseen_users_get_the_prior() {
    let (host, mut model) = (FakeHost::default(), model());
    model.prior = vec![0.25, 0.5];
    for (request, state) in [(request(&["a"]), UserState::Anonymous), (of_user("eve"), UserState::New)] {
        let mut features = Features::default();
        let user = features.push(&host, &model, &request, Validated { task: None }).unwrap();
        assert_eq!(user, User { state, interactions: 0, declared: None });
        assert_eq!(elements(&features, "user"), (vec![1, 2], vec![0.25, 0.5]));
        assert_eq!(elements(&features, "preference"), (vec![1, 1], vec![-1.0]));
    }
}

#[test]
fn known_user_keeps_the_estimated_preference() {
    let host = host_knowing("ann", profile(&[1.0, 2.0], 40, Some(0.3)));
    let (user, features) = features(&host, &of_user("ann"));
    assert_eq!(user, User { state: UserState::Known, interactions: 40, declared: None });
    assert_eq!(elements(&features, "user"), (vec![1, 2], vec![1.0, 2.0]));
    assert_eq!(elements(&features, "preference").1, [-1.0]);
}

#[test]
fn declared_preference_replaces_the_estimated_one() {
    let host = host_knowing("ann", profile(&[1.0, 2.0], 40, Some(0.3)));
    let (user, features) = features(&host, &Request { preference: Some(0.0), ..of_user("ann") });
    assert_eq!(user.declared, Some(0.0));
    assert_eq!(elements(&features, "preference").1, [0.0]);
}

#[test]
fn stored_preference_of_a_user_without_interactions_is_declared() {
    let host = host_knowing("new", profile(&[0.0, 0.0], 0, Some(0.7)));
    assert_eq!(features(&host, &of_user("new")).0.declared, Some(0.7));
    let host = host_knowing("new", profile(&[0.0, 0.0], 0, Some(7.0)));
    assert_eq!(features(&host, &of_user("new")).0.declared, None);
}

#[test]
fn profile_that_does_not_match_is_replaced_by_the_prior() {
    for embedding in [&[1.0][..], &[f32::NAN, 0.0]] {
        let host = host_knowing("ann", profile(embedding, 40, None));
        let (user, features) = features(&host, &of_user("ann"));
        assert_eq!((user.state, host.warnings()), (UserState::New, 1));
        assert_eq!(elements(&features, "user").1, [0.0, 0.0]);
    }
}

#[test]
fn declared_task_is_one_hot_and_an_unknown_one_all_zero() {
    let mut features = Features::default();
    for task in [Some(1), None] {
        features.push(&FakeHost::default(), &model(), &request(&["a"]), Validated { task }).unwrap();
    }
    assert_eq!(elements(&features, "task"), (vec![2, 2], vec![0.0, 1.0, 0.0, 0.0]));
}

#[test]
fn shorter_texts_are_padded_with_zeroes() {
    let mut features = Features::default();
    for text in ["", "one"] {
        let request = Request { text: text.into(), ..request(&["a"]) };
        features.push(&FakeHost::default(), &model(), &request, Validated { task: None }).unwrap();
    }
    let (dims, ids) = elements(&features, "ngrams");
    assert_eq!(dims, [2, 9]);
    assert_eq!(
        ids.iter().map(|id| *id == 0.0).collect::<Vec<_>>(),
        [&[false; 7][..], &[true; 2], &[false; 9]].concat()
    );
}

#[test]
fn embedding_comes_from_the_host() {
    let model = Model { text_encoder: TextEncoder::Embedding(2), ..model() };
    let push = |embedding: Option<Vec<f32>>| {
        let host = FakeHost { embedding, ..FakeHost::returning(Vec::<Output>::new()) };
        let mut features = Features::default();
        features.push(&host, &model, &request(&["a"]), Validated { task: None }).map(|_| elements(&features, "query"))
    };
    assert_eq!(push(Some(vec![0.6, 0.8])), Ok((vec![1, 2], vec![0.6, 0.8])));
    assert_eq!(push(Some(vec![1.0])), Err(RoutingError::Inference("encoder: expected 2 values, found 1".into())));
    assert!(push(None).is_err());
}
