//! The fake upstream is trusted by every other test: what it counts, records and plays is checked here.

use personaroute_harness::wire;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
};
use serde_json::json;

#[tokio::test]
async fn requests_are_recorded_in_order_and_answered_by_the_script() {
    let upstream = FakeUpstream::start(|request, before| {
        Reply::json(200, &json!({ "before": before, "asked": request.json() })).with_header("x-kept", "yes")
    })
    .unwrap();
    for number in 0..3 {
        let body = json!({ "number": number });
        let answer = wire::post(upstream.address(), "/v1/x?y=1", &[("x-user", "a")], &body).await.unwrap();
        assert_eq!(answer.json(), json!({ "before": number, "asked": { "number": number } }));
        assert_eq!((answer.status, answer.header("x-kept")), (200, "yes"));
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.path == "/v1/x?y=1" && request.header("x-user") == "a"));
    assert_eq!(requests[2].json(), json!({ "number": 2 }));
}

#[tokio::test]
async fn a_gate_holds_the_body_until_it_is_opened() {
    let gate = Gate::closed();
    let frames = vec![Frame::Data("a".into()), Frame::Wait(gate.clone()), Frame::Data("b".into())];
    let upstream = FakeUpstream::always(Reply::events(frames)).unwrap();
    let request = wire::json_request(upstream.address(), "/", &[], &json!({})).unwrap();
    let mut reply = wire::open(upstream.address(), request).await.unwrap();
    assert_eq!(reply.next().await.unwrap().unwrap(), "a");
    assert_eq!(upstream.finished(), 0);
    gate.open();
    assert_eq!(reply.finish().await.unwrap().text(), "b");
}

#[tokio::test]
async fn a_client_that_leaves_at_a_gate_is_counted() {
    let frames = vec![Frame::Data("a".into()), Frame::Wait(Gate::closed())];
    let upstream = FakeUpstream::always(Reply::events(frames)).unwrap();
    let request = wire::json_request(upstream.address(), "/", &[], &json!({})).unwrap();
    let mut reply = wire::open(upstream.address(), request).await.unwrap();
    assert!(reply.next().await.unwrap().is_some());
    drop(reply);
    wait_until!(upstream.given_up() == 1);
    assert_eq!(upstream.finished(), 0);
}

#[tokio::test]
async fn a_cut_breaks_the_connection_after_what_was_sent() {
    let upstream = FakeUpstream::always(Reply::events(vec![Frame::Data("a".into()), Frame::Cut])).unwrap();
    let request = wire::json_request(upstream.address(), "/", &[], &json!({})).unwrap();
    let mut reply = wire::open(upstream.address(), request).await.unwrap();
    assert_eq!(reply.next().await.unwrap().unwrap(), "a");
    assert!(reply.next().await.is_err());
}
