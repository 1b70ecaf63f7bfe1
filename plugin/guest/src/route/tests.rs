//! Facts about the way of a request, alone and in a batch.

use super::*;
use crate::fake::{FakeHost, ids, model, request};
use crate::host::Output;
use crate::model::{Candidates, Profile, UserState};

fn of_user(user: &str) -> Request {
    Request { user: Some(user.into()), ..request(&["a", "b", "c"]) }
}

fn host_with(users: &[(&str, f32)]) -> FakeHost {
    let profile = |first: f32| Profile {
        embedding: vec![first, 0.0],
        state: UserState::Known,
        interactions: 5,
        preference: None,
        certainty: 0.5,
    };
    FakeHost {
        profiles: users.iter().map(|(id, first)| (id.to_string(), profile(*first))).collect(),
        ..FakeHost::default()
    }
}

/// The first of the candidates a, b and c.
fn first(decision: &Result<Decision, RoutingError>) -> String {
    ids(&of_user("any"), &decision.as_ref().unwrap().ranking)[0].to_owned()
}

#[test]
fn two_users_get_different_llms() {
    let host = host_with(&[("ann", 1.0), ("bob", -1.0)]);
    assert_eq!(first(&route(&host, &model(), &of_user("ann"))), "a");
    assert_eq!(first(&route(&host, &model(), &of_user("bob"))), "c");
}

#[test]
fn decision_says_state_task_and_why() {
    let host = host_with(&[("ann", 1.0)]);
    let decision = route(&host, &model(), &of_user("ann")).unwrap();
    assert_eq!(decision.user_state, UserState::Known);
    assert_eq!(decision.task, Some(TaskGuess { task: "code".into(), probability: 0.75 }));
    assert!(decision.why.starts_with("a has the best expected reward, 0.90"));
    let declared = Request { task: Some("math".into()), ..of_user("ann") };
    let decision = route(&host, &model(), &declared).unwrap();
    assert_eq!(decision.task, Some(TaskGuess { task: "math".into(), probability: 1.0 }));
}

#[test]
fn batch_answers_as_each_request_alone_in_one_run() {
    let host = host_with(&[("ann", 1.0), ("bob", -1.0)]);
    let texts = ["short", "a rather longer text, in more words", ""];
    let requests: Vec<Request> = ["ann", "bob", "eve"]
        .iter()
        .zip(texts)
        .map(|(user, text)| Request { text: text.into(), ..of_user(user) })
        .collect();
    let batch = route_batch(&host, &model(), &requests);
    assert_eq!(host.runs().len(), 1);
    let alone: Vec<_> = requests.iter().map(|request| route(&host, &model(), request)).collect();
    assert_eq!(batch, alone);
}

#[test]
fn refused_request_does_not_concern_the_others() {
    let host = host_with(&[("ann", 1.0), ("bob", -1.0)]);
    let refused = Request { candidates: Candidates::default(), ..of_user("ann") };
    let batch = route_batch(&host, &model(), &[of_user("ann"), refused.clone(), of_user("bob")]);
    assert_eq!((&*first(&batch[0]), batch[1].is_err(), &*first(&batch[2])), ("a", true, "c"));
    assert_eq!(host.runs()[0].float32("user").0, [2, 2]);
    let batch = route_batch(&host, &model(), &[refused.clone(), refused]);
    assert!(batch.len() == 2 && batch.iter().all(Result::is_err));
    assert_eq!(host.runs().len(), 1);
}

#[test]
fn large_batches_are_cut() {
    let host = FakeHost::default();
    let requests = vec![request(&["a"]); MAX_ROWS + 1];
    let batch = route_batch(&host, &model(), &requests);
    assert!(batch.len() == MAX_ROWS + 1 && batch.iter().all(Result::is_ok));
    assert_eq!(host.runs().len(), 2);
    assert!(route_batch(&host, &model(), &[]).is_empty());
}

#[test]
fn failing_scorer_fails_every_request_of_its_run() {
    let failure = RoutingError::Inference("scorer: timeout".into());
    let host = FakeHost::failing(failure.clone());
    assert_eq!(route(&host, &model(), &request(&["a"])), Err(failure.clone()));
    assert_eq!(route_batch(&host, &model(), &[request(&["a"]), request(&["b"])]), [Err(failure.clone()), Err(failure)]);
}

#[test]
fn outputs_of_another_shape_are_refused() {
    let output = |name: &str, n: usize| Output { name: name.into(), elements: vec![0.0; n] };
    let refused = |outputs| route(&FakeHost::returning(outputs), &model(), &request(&["a"])).unwrap_err();
    assert_eq!(refused(Vec::new()), RoutingError::Inference("the graph has no output utility".into()));
    let short = RoutingError::Inference("output effect: expected 3 elements, found 2".into());
    assert_eq!(refused(vec![output("utility", 3), output("effect", 2)]), short);
}
