//! Invalid requests are refused with a named cause, and batches are split where they must be.

use super::*;
use crate::UserState;

fn request(user: Option<&str>, preference: Option<f32>) -> RouteRequest {
    let candidate = Candidate { llm: "small".into(), input_price: 0.1, output_price: 0.4, context_window: Some(8192) };
    RouteRequest {
        user: user.map(str::to_owned),
        text: "hello".to_owned(),
        preference,
        candidates: vec![candidate],
        ..RouteRequest::default()
    }
}

fn adapted(user: Option<&str>, value: f32) -> RouteRequest {
    let profile = Profile {
        embedding: vec![value],
        state: UserState::Adapted,
        interactions: 1,
        preference: None,
        certainty: 0.0,
    };
    RouteRequest { profile: Some(profile), ..request(user, None) }
}

fn sizes(requests: &[RouteRequest], max: usize) -> Vec<usize> {
    chunks(requests, max).map(<[_]>::len).collect()
}

#[test]
fn an_invalid_request_is_refused_by_name() {
    let refusal = |request: &RouteRequest| check(request).unwrap_err().to_string();
    let none = RouteRequest { candidates: Vec::new(), ..request(None, None) };
    assert_eq!(refusal(&none), "invalid request: 0 candidates instead of 1 to 4096");
    assert_eq!(refusal(&request(None, Some(1.5))), "invalid request: the preference is outside 0 to 1");
    assert_eq!(refusal(&request(None, Some(f32::NAN))), "invalid request: the preference is outside 0 to 1");
    let mut priceless = request(None, None);
    priceless.candidates[0].output_price = f32::NAN;
    assert_eq!(refusal(&priceless), "invalid request: a price of small is negative or not finite");
    assert_eq!(check(&request(Some("ada"), Some(1.0))), Ok(()));
}

#[test]
fn a_batch_is_split_at_its_maximum() {
    let requests = vec![request(Some("ada"), None); 5];
    assert_eq!(sizes(&requests, 2), [2, 2, 1]);
    assert_eq!(sizes(&requests, 9), [5]);
    assert_eq!(sizes(&[], 2), [0_usize; 0]);
}

#[test]
fn one_call_never_holds_two_profiles_of_a_user() {
    let requests =
        [request(Some("ada"), None), adapted(Some("ada"), 1.0), adapted(Some("ada"), 1.0), adapted(Some("ada"), 2.0)];
    assert_eq!(sizes(&requests, 9), [1, 2, 1]);
    let anonymous = [adapted(None, 1.0), request(None, None), adapted(None, 2.0)];
    assert_eq!(sizes(&anonymous, 9), [2, 1]);
}

#[test]
fn the_plugin_sees_a_bounded_text() {
    let mut long = request(Some("ada"), None);
    long.text = "é".repeat(MAX_TEXT);
    let none = routing::Candidates {
        ids: "",
        id_ends: &[],
        columns: &[],
        input_prices: &[],
        output_prices: &[],
        context_windows: &[],
    };
    let wit = wit(&long, none);
    assert_eq!((wit.text.len(), wit.user), (MAX_TEXT, Some("ada")));
}
